"""Between which ways is chosen: those that differ in nothing but the axes of the choice."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from loragrid.analysis.selection.settings import SETTING

GIVEN = ["base_model", "task", "sample_type", "prompting", "prompt_variant", "decoding"]
"""Axes that every way has on a data set."""

TRAINED = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation"]
"""Axes that only runs have."""

Way = tuple[Hashable, ...]
"""The values of the axes of a choice, in the order in which the choice names them."""


class Candidates(NamedTuple):
    """The ways between which is chosen."""

    given: dict[str, Any]
    """What they have in common: the values of all axes but those of the choice and the seed. None: they have no such axis."""
    ways: dict[Way, list[int]]
    """The places of each way's runs among the models that were given, by the way: two ways or more, in the order given."""


def candidates_among(
    models: Iterable[Mapping[str, Any]], columns: Sequence[str], config_of: Mapping[str, str] | None = None
) -> list[Candidates]:
    """The ways between which is chosen, for each combination of the other axes.

    A run is a candidate on the task that it was trained for. Who has nobody to compete with is no candidate.

    Args:
        models: the axes of each run or base model on each data set, for each seed; an axis that it has not is missing or None.
        columns: the axes of the choice.
        config_of: the config that each setting of a sweep belongs to.
    """
    together: dict[tuple[Any, ...], Candidates] = {}
    for place, axes in enumerate(models):
        if axes.get("trained_task") not in (None, axes["task"]):
            continue
        if SETTING in columns:
            axes = _by_config(axes, config_of or {})
        given = {axis: axes.get(axis) for axis in (*GIVEN, *TRAINED) if axis not in columns}
        way = tuple(axes.get(axis) for axis in columns)
        found = together.setdefault((axes.get("trained_task") is None, *given.values()), Candidates(given, {}))
        found.ways.setdefault(way, []).append(place)
    return [found for found in together.values() if len(found.ways) > 1]


def _by_config(axes: Mapping[str, Any], config_of: Mapping[str, str]) -> dict[str, Any]:
    """Axes with the config and its setting apart."""
    setting = axes.get("config")
    return {**axes, SETTING: setting, "config": config_of.get(setting or "", setting)}
