"""Greedy generation in batches, with transformers and peft."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from tqdm import tqdm

from loragrid.devices import pick_device, pick_dtype
from loragrid.errors import UserError
from loragrid.files import fingerprint
from loragrid.job import log
from loragrid.journal import append_to_journal, read_journal
from loragrid.methods import learns_prompt
from loragrid.records import Example, Prediction
from loragrid.render import Rendered, Renderer

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel


class Generated(NamedTuple):
    """The answer to one prompt."""

    text: str
    token_ids: list[int]
    """With the end-of-turn token, if the model gave one."""
    finish_reason: Literal["stop", "length"]
    runtime_s: float
    batch_size: int


def load_base_model(
    folder: str | Path,
    dtype: str,
    quantization: str = "none",
    device: torch.device | None = None,
) -> PreTrainedModel:
    """Load a model folder onto a device, in the configured number type.

    Args:
        quantization: `4bit` or `8bit` for the weights of linear layers, else `none`.
        device: by default the one that computes here.

    Raises:
        UserError: where the weights cannot be quantized here.
    """
    from transformers import AutoModelForCausalLM

    device = device or pick_device()
    number_type = pick_dtype(dtype, device)
    more: dict[str, Any] = {}
    if quantization != "none":
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UserError(
                f"quantization: {quantization} needs the package bitsandbytes: .venv/bin/python -m pip install bitsandbytes"
            )
        more = {"quantization_config": _quantization_config(quantization, number_type), "device_map": {"": device}}
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=number_type, use_safetensors=True, **more)
    return (model if quantization != "none" else model.to(device)).eval()


def _quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def load_trained(base: PreTrainedModel, trained: Path | None, dtype: str) -> torch.nn.Module:
    """The model to ask: the base model itself, with an adapter on it, or what full fine-tuning made of it.

    An adapter is not merged: that would change results a little.

    Args:
        trained: weights of an adapter in peft's layout, or of a whole model in that of transformers.
    """
    if trained is None:
        plain: torch.nn.Module = base
        return plain
    if trained.name == "model.safetensors":
        whole: torch.nn.Module = load_base_model(trained.parent, dtype)
        return whole
    from peft import PeftModel

    adapted: torch.nn.Module = PeftModel.from_pretrained(base, str(trained.parent))
    return adapted.eval()


def context_length(model: Any) -> int:
    """Longest sequence that the model was made for, in tokens."""
    return int(getattr(model.config, "max_position_embeddings", None) or 2**20)


def make_prediction(
    axes: dict[str, Any], example: Example, prompts: Sequence[Rendered], answers: Sequence[Generated]
) -> Prediction:
    """The record of the answers to all prompts of an example."""
    fields: dict[str, Any] = {
        "prompt": [prompt.prompt for prompt in prompts],
        "prediction": [answer.text for answer in answers],
        "runtime_s": [answer.runtime_s for answer in answers],
        "prompt_tokens": [len(prompt.prompt_ids) for prompt in prompts],
        "new_tokens": [len(answer.token_ids) for answer in answers],
        "finish_reason": [answer.finish_reason for answer in answers],
        "batch_size": [answer.batch_size for answer in answers],
    }
    if example.answers == "one":
        fields = {name: values[0] for name, values in fields.items()}
    engine = {"engine": "transformers", "engine_version": version("transformers")}
    return Prediction(id=example.id, reference=example.output, answers=example.answers, **axes, **fields, **engine)


def pad_token(renderer: Renderer) -> int:
    """Id that fills up batches. It is masked by length, so that any token will do."""
    pad = renderer.tokenizer.pad_token_id
    return renderer.end_of_turn if pad is None else pad


def greedy_config(renderer: Renderer, model: Any, max_new_tokens: int) -> GenerationConfig:
    """Settings of greedy decoding that take nothing from the model's own but its end tokens."""
    from transformers import GenerationConfig

    own = model.generation_config.eos_token_id
    ends = {renderer.end_of_turn} | set(own if isinstance(own, list) else [] if own is None else [own])
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=pad_token(renderer),
        use_cache=True,
    )


def generate(
    model: Any,
    renderer: Renderer,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    batch_size: int,
    journal: Path | None = None,
) -> list[Generated]:
    """Greedy answers to tokenised prompts, in their order.

    Prompts of similar length share a batch, the longest first: what does not fit in memory fails at the start.

    Args:
        journal: holds the answers that are finished, batch by batch; those that it holds already are not computed again.
    """
    keys = [fingerprint(list(prompt)) for prompt in prompts]
    finished = read_journal(journal) if journal else {}
    answers = {i: Generated(**finished[key]) for i, key in enumerate(keys) if key in finished}
    if answers:
        log.info("going on after %d of %d prompts", len(answers), len(prompts))
    with tqdm(total=len(prompts), initial=len(answers), desc="predicting", unit="prompt", mininterval=5) as progress:
        # Batches are those of an uninterrupted job, since the shape of a batch changes the rounding.
        for batch in batches(list(map(len, prompts)), batch_size, of_one_length=learns_prompt(model)):
            missing = [i for i in batch if i not in answers]
            if not missing:
                continue
            computed = generate_batch(model, renderer, [prompts[i] for i in missing], max_new_tokens)
            new = dict(zip(missing, computed, strict=True))
            if journal:
                append_to_journal(journal, {keys[i]: answer._asdict() for i, answer in new.items()})
            answers |= new
            progress.update(len(missing))
    return [answers[i] for i in range(len(prompts))]


def batches(lengths: Sequence[int], batch_size: int, of_one_length: bool) -> Iterator[list[int]]:
    """Indices of the prompts that are answered together, the longest first.

    Args:
        of_one_length: put only prompts of equal length together. peft places a learnt prompt before the padding, where the
            distance to the words behind it would depend on the other prompts of a batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups = [list(group) for _, group in groupby(order, key=lambda i: lengths[i])] if of_one_length else [order]
    for group in groups:
        for start in range(0, len(group), batch_size):
            yield group[start : start + batch_size]


def generate_batch(model: Any, renderer: Renderer, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> Iterator[Generated]:
    """Greedy answers to prompts that share one batch, padded on the left."""
    config = greedy_config(renderer, model, max_new_tokens)
    # Whatever the model's own generation settings say, generate() would fill into ours.
    model.generation_config = config
    width = max(map(len, prompts))
    pad = config.pad_token_id
    input_ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    started = time.perf_counter()
    with torch.inference_mode():
        output = model.generate(input_ids=input_ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
    runtime_s = (time.perf_counter() - started) / len(prompts)
    ends = set(config.eos_token_id)
    for row in output:
        stop = next((i for i, token in enumerate(row) if token in ends), None)
        ids = row if stop is None else row[: stop + 1]
        text = renderer.tokenizer.decode(ids, skip_special_tokens=True).strip()
        yield Generated(text, ids, "length" if stop is None else "stop", round(runtime_s, 6), len(prompts))
