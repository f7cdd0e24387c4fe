"""Which models can answer prompts of different lengths together, and which can go on from what they keep of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from loragrid.inference.from_cache import attends_from_cache
from loragrid.models.adapters import learns_prompt
from loragrid.models.sequences import padded_on_the_left


def why_alone(model: Any, pad: int) -> str:
    """Why prompts of different lengths cannot be answered together, as part of a sentence; empty if they can.

    Neither every recurrent model nor every attention heeds padding. So a model whose prompts have to be padded is tried.
    """
    if getattr(model, "_is_stateful", False):
        return "the model is recurrent"
    if attends_from_cache(model) or learns_prompt(model):
        return ""
    ids = [i for i in range(9) if i != pad]
    [alone], [_, beside] = (_first_logits(model, prompts, ids[0], pad) for prompts in ([ids[1:4]], [ids[1:], ids[1:4]]))
    return "" if (alone - beside).abs().max() <= 0.1 * alone.abs().max() else "the model does not heed padding"


def cache_misleads(model: Any, pad: int) -> bool:
    """Whether `generate()` finds other logits than a forward pass over the whole text, because it goes on from a cache.

    In some types of models what is kept of a text is not all that the next token needs. So a model is tried.
    """
    if attends_from_cache(model) or learns_prompt(model):
        return False
    first, *prompt = [i for i in range(14) if i != pad]
    [found] = _first_logits(model, [prompt], first, pad)
    with torch.inference_mode():
        [expected] = (
            model(input_ids=torch.tensor([[*prompt, first]], device=model.device), use_cache=False).logits[:, -2:].float()
        )
    found, expected = (logits - logits.mean(-1, keepdim=True) for logits in (found, expected))
    return bool((found - expected).norm() > 0.2 * expected.norm())


def _first_logits(model: Any, prompts: Sequence[Sequence[int]], token: int, pad: int) -> torch.Tensor:
    """Logits that `generate()` finds behind each prompt, and behind `token` after it: shape (prompts, 2, vocabulary)."""
    from transformers import GenerationConfig

    config = GenerationConfig(do_sample=False, num_beams=1, max_new_tokens=2, pad_token_id=pad, use_cache=True)
    model.generation_config = config
    ids, mask = padded_on_the_left(prompts, pad, model.device)

    def take_token(histories: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        return torch.full_like(logits, -torch.inf).index_fill(1, torch.tensor([token], device=logits.device), 0.0)

    told = {"attention_mask": mask, "logits_processor": [take_token], "output_logits": True, "return_dict_in_generate": True}
    with torch.inference_mode():
        found = model.generate(input_ids=ids, generation_config=config, **told)
    return torch.stack(found.logits, dim=1).float()
