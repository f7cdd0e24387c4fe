"""Attention among examples that stand in one row, each for itself: no padding, no mask, nothing computed between examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

BY_EXAMPLE = "loragrid_by_example"
"""Name of this implementation of attention, as transformers calls it."""

_lengths: list[int] = []


def stand_in_a_row(lengths: Sequence[int]) -> None:
    """Say how long the examples of the next forward pass are; it holds until the next call, for its backward pass too."""
    _lengths[:] = lengths


def keep_examples_apart(model: Any, packing: str, device: torch.device) -> bool:
    """Give a model an implementation of attention with which training examples can stand in one row, each for itself.

    FlashAttention keeps them apart on a GPU by itself. Otherwise each example's attention is computed alone, which is fastest on a
    CPU, and keeps a GPU waiting.

    Args:
        packing: `on`, `off` or `auto`, where it is fastest.

    Returns:
        Whether examples can stand in one row now. They cannot where the model has an attention of its own.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.utils import is_flash_attn_2_available

    flash = device.type == "cuda" and is_flash_attn_2_available()
    if packing == "off" or (packing == "auto" and device.type != "cpu" and not flash):
        return False
    if getattr(model.config, "attn_logit_softcapping", None) or not model._supports_sdpa:
        return False
    AttentionInterface.register(BY_EXAMPLE, attend_by_example)
    AttentionMaskInterface.register(BY_EXAMPLE, lambda *args, **kwargs: None)
    model.set_attn_implementation("flash_attention_2" if flash else BY_EXAMPLE)
    return True


def attend_by_example(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example of a row.

    Args:
        query: shape (1, heads, tokens, size); key and value may have fewer heads, each for a group of the query's.
        sliding_window: how many tokens back a token sees, itself counted.

    Returns:
        Shape (1, tokens, heads, size).
    """
    attended = []
    for q, k, v in zip(*(torch.split(tensor, _lengths, dim=2) for tensor in (query, key, value)), strict=True):
        length, window = q.shape[2], None
        if sliding_window is not None and length > sliding_window:
            window = torch.ones(length, length, dtype=torch.bool, device=q.device).tril().triu(1 - sliding_window)
        attend = torch.nn.functional.scaled_dot_product_attention
        causal = window is None
        attended.append(attend(q, k, v, window, dropout, causal, scale=scaling, enable_gqa=True))
    return torch.cat(attended, dim=2).transpose(1, 2), None
