"""Greedy generation in batches, with transformers and peft."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from tqdm import tqdm

from loragrid.devices import pick_device, pick_dtype
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


def load_base_model(folder: str | Path, dtype: str) -> PreTrainedModel:
    """Load an imported base model onto the device, in the configured number type."""
    from transformers import AutoModelForCausalLM

    device = pick_device()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=pick_dtype(dtype, device), use_safetensors=True)
    return model.to(device).eval()


def load_adapter(model: PreTrainedModel, folder: str | Path) -> torch.nn.Module:
    """Put a trained adapter on a base model, unmerged: merging would change results a little."""
    from peft import PeftModel

    adapted: torch.nn.Module = PeftModel.from_pretrained(model, str(folder))
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
    model: Any, renderer: Renderer, prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_size: int
) -> list[Generated]:
    """Greedy answers to tokenised prompts, in their order.

    Prompts of similar length share a batch, the longest first: what does not fit in memory fails at the start.
    """
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    answers: dict[int, Generated] = {}
    with tqdm(total=len(prompts), desc="predicting", unit="prompt", mininterval=5) as progress:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            answers |= zip(chosen, generate_batch(model, renderer, [prompts[i] for i in chosen], max_new_tokens), strict=True)
            progress.update(len(chosen))
    return [answers[i] for i in range(len(prompts))]


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
