"""Proof that a model generates as promised: greedily, the same every time, and not like its base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from loragrid.inference import Generated, generate, generate_batch
from loragrid.render import Rendered, Renderer


def check_generation(
    model: Any,
    renderer: Renderer,
    prompts: Sequence[Rendered],
    max_new_tokens: int,
    base_logits: Sequence[torch.Tensor] | None = None,
) -> dict[str, dict[str, Any]]:
    """Generate from the same prompts in several ways and compare.

    Args:
        base_logits: the base model's logits after each prompt, for a trained model.

    Returns:
        For each check whether it `passed` (None: it does not apply) and the `evidence`.
    """

    def one_by_one(seed: int) -> list[Generated]:
        # Sampling would show in different texts under different seeds.
        torch.manual_seed(seed)
        return [next(generate_batch(model, renderer, [p.prompt_ids], max_new_tokens)) for p in prompts]

    first, second = one_by_one(0), one_by_one(1)
    together = generate(model, renderer, [p.prompt_ids for p in prompts], max_new_tokens, len(prompts))
    ends = set(model.generation_config.eos_token_id)
    # In a narrower number type a batch's shape changes the rounding, and with it now and then a token.
    exact = model.dtype == torch.float32
    same_in_batch = [a.token_ids == b.token_ids for a, b in zip(first, together, strict=True)]
    checks: dict[str, dict[str, Any]] = {
        "same text twice": {
            "passed": all(a.token_ids == b.token_ids for a, b in zip(first, second, strict=True)),
            "evidence": [[a.text, b.text] for a, b in zip(first, second, strict=True)],
        },
        "same text in a batch": {
            "passed": all(same_in_batch) if exact else None,
            "evidence": [[a.text, b.text] for a, b in zip(first, together, strict=True)],
        },
        "end token or length": {
            "passed": all((g.token_ids[-1] in ends) == (g.finish_reason == "stop") for g in first)
            and all(len(g.token_ids) == max_new_tokens for g in first if g.finish_reason == "length"),
            "evidence": [[g.finish_reason, len(g.token_ids)] for g in first],
        },
    }
    if base_logits is not None:
        differences = [
            float((last_logits(model, p.prompt_ids) - base).abs().max()) for p, base in zip(prompts, base_logits, strict=True)
        ]
        checks["differs from base"] = {"passed": all(d > 0 for d in differences), "evidence": differences}
    return checks


def last_logits(model: Any, prompt_ids: Sequence[int]) -> torch.Tensor:
    """Logits after a prompt, of shape (vocabulary,)."""
    ids = torch.tensor([prompt_ids], device=model.device)
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids).logits[0, -1]
    return logits
