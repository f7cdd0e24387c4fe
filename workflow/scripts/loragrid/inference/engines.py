"""The engines by their names in the configuration; what an engine needs is imported only with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loragrid.data.render import Renderer
from loragrid.inference.protocol import Engine


@contextmanager
def open_engine(
    name: str,
    settings: dict[str, Any],
    folder: Path | None,
    trained: Path | None,
    quantization: str,
    renderer: Renderer | None,
    threads: int,
    job: str,
) -> Iterator[Engine]:
    """Make a base model, or what was trained on it, ready to be asked.

    Args:
        name: of the base model.
        settings: of the model, its `engine` among them.
        folder: the imported base model; None where only a server has it, which then has no renderer either.
        trained: weights of an adapter, or of a whole model.
        job: tells this job from others; the file that it makes.
    """
    engine = settings["engine"]
    if engine["type"] == "openai":
        from loragrid.inference.openai import open_openai

        with open_openai(name, engine, trained, renderer, job) as opened:
            yield opened
        return
    assert folder is not None
    assert renderer is not None
    if engine["type"] == "vllm":
        from loragrid.inference.vllm import open_vllm, vllm_engine
        from loragrid.models.device import pick_device, pick_dtype, type_name

        adapter = trained.parent if trained is not None and trained.name != "model.safetensors" else None
        whole = folder if trained is None or adapter is not None else trained.parent
        adapters = {} if adapter is None else {"trained": adapter}
        typed = settings | {"dtype": type_name(pick_dtype(settings["dtype"], pick_device()))}
        with open_vllm(whole, typed, adapters, renderer, context_length(folder, settings)) as vllm:
            yield vllm_engine(vllm, "trained" if adapters else None, typed["dtype"])
        return
    import torch

    from loragrid.inference.hf import open_hf

    torch.set_num_threads(threads)
    yield open_hf(folder, settings, trained, quantization, renderer)


def context_length(folder: Path, settings: dict[str, Any]) -> int:
    """Longest prompt and answer together, in tokens: as configured, else what the model was made for."""
    from transformers import AutoConfig

    own = getattr(AutoConfig.from_pretrained(folder).get_text_config(), "max_position_embeddings", None)
    return int(settings.get("context_length") or own or 2**20)
