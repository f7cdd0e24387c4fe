"""Proof that a merged model answers a check's prompts as its base model with the adapter does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.data.render import Rendered, end_tokens, zero_shot
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.inference.checks import Check, evidence_of, same_texts
from loragrid.inference.prompts import ModelFiles, model_to_ask, render_all
from loragrid.inference.protocol import Answer, Decoding, generate
from loragrid.inference.settings import CheckSettings
from loragrid.records import Example, read_records
from loragrid.runtime.files import write_json
from loragrid.runtime.job import log
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    import torch

    from loragrid.inference.engine import ModelToAsk

LOGITS, TEXT = "same logits as with the adapter", "same text as with the adapter"


class MergedCheckFiles(NamedTuple):
    """What a job that checks a merged model reads and writes."""

    result: str
    """Is written."""
    test: str
    model: ModelFiles
    """Of the base model and the adapter."""
    merged: str
    """Weights of the merged model."""


class _Outcome(NamedTuple):
    """What a model makes of prompts."""

    logits: torch.Tensor
    """After each token of each prompt, shape (tokens, vocabulary)."""
    answers: list[Answer]


def check_merged(settings: CheckSettings, base_model: str, files: MergedCheckFiles, threads: int) -> None:
    """Check a merged model and write the outcome.

    Both models compute in float32 on the CPU. If the merged weights are stored in float32, the texts have to be the same. In a
    narrower type they were rounded: then the logits may differ by what rounding explains, and with them a text.

    Args:
        base_model: its name in the configuration.

    Raises:
        UserError: if the merged model answers otherwise. The evidence is then in a file beside the result.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from loragrid.models.device import free_cached_memory, type_name
    from loragrid.models.loading import load_base_model, load_trained
    from loragrid.models.merging import logits_apart
    from loragrid.models.weights import load_weights

    torch.set_num_threads(threads)
    decoding = Decoding(max_new_tokens=settings.checks.max_new_tokens, latency=True)
    model = model_to_ask(base_model, settings.model, "none", files.model, threads, job=files.result)
    assert model.folder is not None
    assert model.renderer is not None
    examples = subset(read_records(files.test, Example), settings.checks.examples)
    requests = [zero_shot(example.parts[0]) for example in examples]
    rendered = render_all(model, settings.model.system_prompt, requests, decoding.max_new_tokens)
    if not (prompts := [prompt for prompt in rendered if prompt is not None]):
        raise UserError(f"{files.test}: none of the first {len(examples)} prompts fits into the model's context.")

    cpu = torch.device("cpu")
    adapted: Any = load_trained(load_base_model(model.folder, "float32", device=cpu), model.trained, "float32").to(cpu)
    expected = _outcome(adapted, model, prompts, decoding)
    # Two models never hold memory at the same time.
    del adapted
    free_cached_memory()
    dtype = _stored_type(Path(files.merged))
    merged: Any = load_weights(AutoModelForCausalLM, whole_folder(files.merged), dtype=torch.float32).eval()
    found = _outcome(merged, model, prompts, decoding)
    apart = logits_apart(expected.logits, found.logits, dtype, merged.config)
    log.info("logits of the merged model in %s: %.2g off, %.2g allowed", type_name(dtype), *apart)
    checks: dict[str, Check] = {
        LOGITS: {"passed": apart.is_rounding, "evidence": {**apart._asdict(), "dtype": type_name(dtype)}},
        TEXT: same_texts(expected.answers, found.answers, strict=dtype == torch.float32),
    }
    _write(files.result, {"examples": [example.id for example in examples], "checks": checks})


def _stored_type(file: Path) -> torch.dtype:
    """The narrowest number type in which weights are stored. The settings of a model may say another one."""
    import torch
    from safetensors import safe_open

    types = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    with safe_open(file, framework="pt") as weights:
        found = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118 - it is no mapping
    return max((types[name] for name in found & types.keys()), key=lambda one: torch.finfo(one).eps)


def _outcome(model: Any, asked: ModelToAsk, prompts: Sequence[Rendered], decoding: Decoding) -> _Outcome:
    """What a model makes of each prompt by itself.

    Args:
        asked: how the base model is asked.
    """
    import torch

    from loragrid.inference.batching import BATCH_TOKENS, answer_with

    assert asked.folder is not None
    assert asked.renderer is not None
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([prompt.prompt_ids])).logits[0].float() for prompt in prompts]
    answer = answer_with(model, asked.renderer, end_tokens(asked.renderer, asked.folder), BATCH_TOKENS["cpu"])
    return _Outcome(torch.cat(logits), [answers[0] for answers in generate(answer, prompts, decoding)])


def _write(result: str, found: dict[str, Any]) -> None:
    """Write the outcome: into its place, or as evidence if a check failed.

    Raises:
        UserError: if a check failed.
    """
    evidence = evidence_of(result)
    if failed := [name for name, check in found["checks"].items() if check["passed"] is False]:
        write_json(evidence, found)
        raise UserError(f"{result}: the merged model does not pass: {', '.join(failed)}; the evidence is in {evidence}.")
    write_json(result, found)
    Path(evidence).unlink(missing_ok=True)
