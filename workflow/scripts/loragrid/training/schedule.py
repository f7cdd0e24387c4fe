"""The steps of a training: which examples each step learns from, how fast, and whether a validation follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from loragrid.training.method import Training


class Schedule(NamedTuple):
    """All steps of a training, counted from 1."""

    steps: list[list[int]]
    """The indices of each step's examples."""
    steps_per_epoch: int
    learning_rates: list[float]
    validated: set[int]
    """The steps after which the validation loss is computed."""


def make_schedule(lengths: Sequence[int], config: Training, seed: int) -> Schedule:
    """The steps that a configuration asks for.

    Args:
        lengths: tokens of each example.
        seed: of the order of the examples.
    """
    steps, steps_per_epoch = steps_of(lengths, config, seed)
    factor = learning_rate_factor(config.schedule, round(config.warmup_ratio * len(steps)), len(steps))
    learning_rates = [config.learning_rate * factor(i) for i in range(len(steps))]
    return Schedule(steps, steps_per_epoch, learning_rates, validation_steps(config, len(steps)))


def steps_of(lengths: Sequence[int], config: Training, seed: int) -> tuple[list[list[int]], int]:
    """The examples of each optimiser step: a new random permutation in each epoch.

    The last step of an epoch may be smaller.

    Args:
        lengths: tokens of each example.

    Returns:
        The indices of each step's examples, and the number of steps in the first epoch.
    """
    generator = torch.Generator().manual_seed(seed)
    steps: list[list[int]] = []
    steps_per_epoch = wanted = 0
    while not steps or len(steps) < wanted:
        order = torch.randperm(len(lengths), generator=generator).tolist()
        steps += _cut_into_steps(order, lengths, config)
        if not steps_per_epoch:
            steps_per_epoch = len(steps)
            wanted = config.nb_steps(steps_per_epoch)
    return steps[:wanted], steps_per_epoch


def _cut_into_steps(order: Sequence[int], lengths: Sequence[int], config: Training) -> list[list[int]]:
    if config.batch_tokens is None:
        return [list(order[i : i + config.batch_size]) for i in range(0, len(order), config.batch_size)]
    steps: list[list[int]] = []
    tokens = 0
    for index in order:
        tokens += lengths[index]
        if not steps or tokens > config.batch_tokens:
            steps.append([])
            tokens = lengths[index]
        steps[-1].append(index)
    return steps


def learning_rate_factor(schedule: str, warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """The factor on the highest learning rate, as a function of the step, counted from 0."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress))}[schedule]

    return factor


def validation_steps(config: Training, nb_steps: int) -> set[int]:
    """The steps after which the validation loss is computed; the last one is among them."""
    if config.validate_every:
        return {*range(config.validate_every, nb_steps, config.validate_every), nb_steps}
    return {round(nb_steps * (i + 1) / config.evaluations) for i in range(config.evaluations)}
