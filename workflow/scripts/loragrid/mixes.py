"""Training sets drawn from data sets."""

from __future__ import annotations

from collections.abc import Sequence

from loragrid.errors import UserError
from loragrid.records import Example, content_hash


def draw(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Draw `size` examples without replacement.

    Each example's place in the draw is the hash of seed and id, so that for one seed a larger draw contains a smaller
    one, and data that is added later moves nothing.

    Raises:
        UserError: where there are fewer than `size`.
    """
    if size > len(examples):
        raise UserError(f"nb_samples: {size} is more than the {len(examples)} training examples there are.")
    return sorted(examples, key=lambda example: content_hash(str(seed), example.id))[:size]


def target_only(
    train: Sequence[Example], validation: Sequence[Example], nb_samples: int, nb_validation: int, seed: int
) -> tuple[list[Example], list[Example]]:
    """The mix of the recipe `target_only`: its training part and its validation part, both drawn alike."""
    return draw(train, nb_samples, seed), draw(validation, min(nb_validation, len(validation)), seed)
