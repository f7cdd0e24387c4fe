"""Functions shared by scorers that let a model read texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loragrid.scoring.protocol import Item

BATCH_TOKENS = {"cpu": 4096, "cuda": 32768, "mps": 8192}
"""Tokens that a model reads at once, padding included, by the type of its device."""


def texts_of(items: Sequence[Item]) -> list[str]:
    """All predictions and references, each once."""
    return list(dict.fromkeys(text for item in items for text in (item.prediction, *item.references)))


def longest_input(tokenizer: Any, config: Any) -> int:
    """The most tokens that a model can read at once."""
    of_positions = getattr(config, "max_position_embeddings", None)
    limits = [limit for limit in (tokenizer.model_max_length, of_positions) if limit is not None and 0 < limit < 10**6]
    # In RoBERTa and similar models, positions begin behind the position of the padding.
    offset = (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert") else 0
    return min(limits, default=512) - (offset if limits and min(limits) == of_positions else 0)
