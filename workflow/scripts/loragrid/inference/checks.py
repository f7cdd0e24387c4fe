"""Proof that a model generates as promised: greedily, the same every time, not like its base, and alike in all engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loragrid.data.render import Rendered
from loragrid.inference.protocol import Answer, Decoding, Generated, generate

Check = dict[str, Any]
"""Whether it `passed` (None: it does not apply) and the `evidence`."""


def check_generation(
    engine: Answer, prompts: Sequence[Rendered], decoding: Decoding, ends: Sequence[int], exact: bool, repeatable: bool = True
) -> tuple[dict[str, Check], list[Generated]]:
    """Have an engine answer the same prompts in several ways and compare.

    Args:
        decoding: a greedy one.
        ends: ids that end an answer.
        exact: whether the number type is wide enough for the answers to be the same in a batch. In a narrower one a batch's shape
            changes the rounding, and with it now and then a token.
        repeatable: whether the engine promises the same answer twice; servers do not.

    Returns:
        The checks by name, and the answers to each prompt by itself.
    """

    def one_by_one(seed: int) -> list[Generated]:
        # Sampling would show in different texts under different seeds.
        alone = decoding._replace(seed=seed, latency=True)
        return [answers[0] for answers in generate(engine, prompts, alone)]

    first, second = one_by_one(0), one_by_one(1)
    together = [answers[0] for answers in generate(engine, prompts, decoding)]
    told = [one for one in first if one.token_ids]
    checks = {
        "same text twice": same_texts(first, second, strict=repeatable),
        "same text in a batch": same_texts(first, together, strict=exact and repeatable),
        "end token or length": {
            "passed": all((one.token_ids[-1] in ends) == (one.finish_reason == "stop") for one in told)
            and all(one.new_tokens == decoding.max_new_tokens for one in first if one.finish_reason == "length"),
            "evidence": [[one.finish_reason, one.new_tokens] for one in first],
        },
    }
    return checks, first


def same_texts(first: Sequence[Generated], second: Sequence[Generated], strict: bool) -> Check:
    """Whether answers are the same; if need not be, different ones are no failure."""
    same = all(a.text == b.text for a, b in zip(first, second, strict=True))
    return {
        "passed": same if same or strict else None,
        "evidence": [[a.text, b.text] for a, b in zip(first, second, strict=True)],
    }


def differs_from_base(model: Any, base_logits: Sequence[Any], prompts: Sequence[Rendered]) -> Check:
    """Whether a trained model's logits after each prompt are others than its base model's."""
    differences = [
        float((last_logits(model, p.prompt_ids) - base).abs().max()) for p, base in zip(prompts, base_logits, strict=True)
    ]
    return {"passed": all(d > 0 for d in differences), "evidence": differences}


def last_logits(model: Any, prompt_ids: Sequence[int]) -> Any:
    """Logits after a prompt, of shape (vocabulary,)."""
    import torch

    ids = torch.tensor([prompt_ids], device=model.device)
    with torch.inference_mode():
        return model(input_ids=ids).logits[0, -1]
