"""Training sets drawn from data sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.records import Example, content_hash
from loragrid.sections import Name, Section


def draw(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Draw `size` examples without replacement.

    Each example's place in the draw is the hash of seed and id, so that for one seed a larger draw contains a smaller
    one, and data that is added later moves nothing that was drawn before but by taking its place.

    Raises:
        UserError: where there are fewer than `size`.
    """
    if size > len(examples):
        raise UserError(f"{size} examples are asked for, but there are only {len(examples)}.")
    return sorted(examples, key=lambda example: content_hash(str(seed), example.id))[:size]


def share_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that add up to `total`, in proportion to the weights (largest remainders)."""
    sum_of_weights = sum(weights.values())
    if not sum_of_weights:
        return dict.fromkeys(weights, 0)
    exact = {name: total * weight / sum_of_weights for name, weight in weights.items()}
    shares = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


def training_sizes(
    recipe: TargetOnly | Fractional | Weighted, target: str, nb_samples: int, available: Mapping[str, int]
) -> dict[str, int]:
    """How many training examples a mix takes of each task.

    Args:
        target: the target task.
        available: training examples of each task of the mix.
    """
    match recipe:
        case TargetOnly():
            others = {}
        case Fractional():
            names = [name for name in recipe.tasks if name != target]
            others = {name: available[name] if recipe.nb_others is None else recipe.nb_others for name in names}
        case Weighted():
            others = share_out(recipe.nb_others, {name: weight for name, weight in recipe.weights.items() if name != target})
    return {target: nb_samples} | others


def make_mix(
    recipe: TargetOnly | Fractional | Weighted,
    target: str,
    nb_samples: int,
    train: Mapping[str, Sequence[Example]],
    validation: Mapping[str, Sequence[Example]],
    seed: int,
) -> tuple[list[Example], list[Example]]:
    """Draw the training and the validation part of a mix.

    The validation part has at most `nb_validation` examples, shared out among the tasks as the training part is.

    Args:
        train, validation: the examples of each task that can be drawn.

    Raises:
        UserError: naming the task that has too few examples.
    """
    sizes = training_sizes(recipe, target, nb_samples, {task: len(examples) for task, examples in train.items()})
    chosen: list[Example] = []
    for task, size in sizes.items():
        if task != target and not train[task]:
            raise UserError(f"training examples of task '{task}': there are none to draw from.")
        try:
            chosen += draw(train[task], size, seed)
        except UserError as error:
            raise UserError(f"training examples of task '{task}': {error}") from None
    held_out: list[Example] = []
    for task, size in share_out(recipe.nb_validation, sizes).items():
        held_out += draw(validation[task], min(size, len(validation[task])), seed)
    return chosen, held_out


class TargetOnly(Section):
    """Examples of the target data set alone."""

    recipe: Literal["target_only"] = Field(description="Chooses this recipe.")
    nb_validation: int = Field(16, ge=0, description="Most validation examples in the mix; 0: no validation loss.")


class Fractional(Section):
    """`nb_samples` examples of the target task among those of the other tasks."""

    recipe: Literal["fractional"] = Field(description="Chooses this recipe.")
    tasks: list[Name] = Field(
        min_length=2,
        description="The tasks of the mix. Those besides the target task are the others; their sample type is the target's.",
    )
    nb_others: int | None = Field(None, ge=1, description="Examples of each other task; by default all there are.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )


class Weighted(Section):
    """`nb_samples` examples of the target task, and a number of others shared out by weight."""

    recipe: Literal["weighted"] = Field(description="Chooses this recipe.")
    weights: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        min_length=1,
        description="Weight of each task; that of the target task itself is left out. Their sample type is the target's.",
    )
    nb_others: int = Field(ge=1, description="Examples of the other tasks together.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )


Mix = Annotated[TargetOnly | Fractional | Weighted, Field(discriminator="recipe")]


def mix_tasks(mix: TargetOnly | Fractional | Weighted) -> list[str]:
    """The tasks that a mix draws from, besides its target."""
    match mix:
        case TargetOnly():
            return []
        case Fractional():
            return mix.tasks
        case Weighted():
            return list(mix.weights)
