"""Encodings of positions that change with the length of the longest sequence in a forward pass.

Such an encoding stretches once a sequence is longer than a limit, and it does so for all rows of the pass. So sequences share a
pass only if each of them stretches it alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from loragrid.models.adapters import virtual_tokens


class Stretch(NamedTuple):
    """How an encoding of positions stretches."""

    limit: int
    """Sequences of at most so many tokens leave it as it is."""
    grows: bool
    """Whether it stretches more with every token (`dynamic`), or once for all longer sequences (`longrope`)."""


def stretches_of(model: Any) -> list[Stretch]:
    """How a model's encoding of positions stretches, by the kinds of its layers; empty if it never does."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or {}
    of_layers = [rope] if "rope_type" in rope else [part for part in rope.values() if isinstance(part, Mapping)]
    found = []
    for part in of_layers:
        kind = part.get("rope_type", "default")
        if "dynamic" in kind:
            found.append(Stretch(config.max_position_embeddings, grows=True))
        elif kind == "longrope":
            found.append(Stretch(part.get("original_max_position_embeddings") or config.max_position_embeddings, grows=False))
    in_front = virtual_tokens(model)
    return [stretch._replace(limit=stretch.limit - in_front) for stretch in found]


def stretched_by(length: int, stretches: Sequence[Stretch]) -> Hashable:
    """How far a sequence stretches the encoding of positions. Sequences with the same value may share a forward pass."""
    return tuple((length if one.grows else 1) if length > one.limit else 0 for one in stretches)


def stretched_by_answer(prompt: int, longest: int, stretches: Sequence[Stretch]) -> Hashable:
    """How far a prompt and its answer stretch the encoding of positions. Prompts with the same value may be answered together.

    None: a prompt is to be answered by itself. While its answer grows, the encoding changes.

    Args:
        prompt: tokens of the prompt.
        longest: tokens of the prompt with the longest answer.
    """
    before, after = (stretched_by(length, stretches) for length in (prompt, longest))
    return before if before == after else None
