"""Which trainings can share their optimiser steps, and which gain by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from loragrid.training.methods import LoraTraining

if TYPE_CHECKING:
    from loragrid.training.method import Training

SMALL_WORK = 1e13
"""Parameters times tokens of a step up to which `auto` takes it for small. On an H200, steps of 1,568 tokens kept a model of 8e9
parameters busy, and steps of four times as many gained 7 %; a model of 1e9 parameters gained 13 %, and three times where passes
were not recorded."""

SEVERAL_TRACKERS = frozenset({"tensorboard"})
"""Trackers that follow several trainings of one process. Others have one current training."""


class Facts(NamedTuple):
    """On what else than its configuration it depends whether a training shares its steps. None: not known yet."""

    device: str
    """Type of the device, as torch calls it."""
    by_accelerate: bool = False
    """Whether accelerate starts processes for it."""
    trackers: Sequence[str] = ()
    step_tokens: float | None = None
    """Tokens of a step, on average."""
    row_tokens: int | None = None
    """Tokens of a row, at most."""
    parameters: int | None = None
    """Of the base model."""
    packed: bool | None = None
    """Whether examples can stand in one row."""


def why_not_together(config: Training, facts: Facts) -> str:
    """Why a training does not share its steps with others, as part of a sentence; empty if it can."""
    if config.together == "off":
        return "together: off"
    if config.together == "auto" and facts.device != "cuda":
        return "on a CPU, together: auto gives the same bytes as a training alone"
    return _why_impossible(config, facts) or (_why_no_gain(facts) if config.together == "auto" else "")


def _why_impossible(config: Training, facts: Facts) -> str:
    if not isinstance(config, LoraTraining):
        return "only new adapters of LoRA share steps"
    others = sorted(set(facts.trackers) - SEVERAL_TRACKERS)
    obstacles = {
        "dora: its magnitudes belong to the whole layer": config.dora,
        "dropout draws at random for all tokens of a row": config.dropout > 0,
        "neftune_alpha draws at random for all tokens of a row": config.neftune_alpha is not None,
        f"initialisation: {config.initialisation} changes the base model's weights": config.moves_base_weights,
        "quantization: its base model is quantized": config.quantization != "none",
        "gradient_checkpointing computes activations again": config.gradient_checkpointing,
        "accelerate trains it in processes of its own": facts.by_accelerate,
        f"the tracker {', '.join(others)} follows one training at a time": bool(others),
        "its examples are padded, not packed": config.packing == "off" or facts.packed is False,
    }
    return next((why for why, is_there in obstacles.items() if is_there), "")


def _why_no_gain(facts: Facts) -> str:
    if facts.step_tokens is None:
        return ""
    if facts.row_tokens is not None and 2 * facts.step_tokens > facts.row_tokens:
        return f"two of its steps ({facts.step_tokens:.0f} tokens each) are more than one row ({facts.row_tokens} tokens)"
    if facts.parameters is not None and facts.step_tokens * facts.parameters > SMALL_WORK:
        return f"its steps of {facts.step_tokens:.0f} tokens keep the device busy"
    return ""


def has_room(present: Sequence[tuple[float, int]], new: tuple[float, int], row_tokens: int, size: int) -> bool:
    """Whether one more run should share steps with those that do: whether a row holds the steps of all, as a rule.

    Args:
        present: tokens of a step, on average, and rank of each run that shares steps.
        new: the same of one more run.
        size: numbers of a hidden state. Ranks of up to a quarter of it add little to the work of a layer.
    """
    together = [*present, new]
    tokens, ranks = sum(tokens for tokens, _ in together), sum(rank for _, rank in together)
    return not present or (tokens <= row_tokens and ranks <= max(1, size // 4))
