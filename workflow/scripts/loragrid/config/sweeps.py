"""Configs that stand for several trainings: whether their names are told apart, and what is meant where a config is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loragrid.analysis.contrasts.settings import Comparison
from loragrid.config.root import Config


def broken_sweeps(config: Config) -> Iterator[str]:
    """One sentence for each setting of a sweep with the name of another training; case aside, as some file systems do."""
    met: dict[str, tuple[str, str]] = {}
    for name in config.configs:
        # Two configs whose names differ in case only are told of elsewhere.
        met.setdefault(name.casefold(), (name, name))
    for name, trainings in config.settings_of.items():
        for setting in trainings if config.configs[name].sweep else ():
            other, of_other = met.setdefault(setting.casefold(), (name, setting))
            if (other, of_other) != (name, setting):
                what = f"config '{other}'" if other == of_other else f"'{of_other}', a setting of config '{other}'"
                yield f"configs.{name}: its setting '{setting}' has the same name as {what}; choose another."


def meant_comparisons(config: Config) -> list[Comparison] | None:
    """The comparisons that are asked for. Where one names a config with a sweep, all of its settings are meant."""
    asked = config.report.comparisons
    if asked is None:
        return None
    return [one for comparison in asked for one in _meant(config, comparison)]


def _meant(config: Config, comparison: Comparison) -> Iterator[Comparison]:
    """A comparison with settings in the place of their configs: one for each setting that others are compared with."""
    changes: dict[str, Any] = {}
    if "config" in comparison.where:
        meant = config.trainings_named(comparison.where["config"])
        changes["where"] = {**comparison.where, "config": meant}
    if comparison.axis != "config":
        yield comparison.model_copy(update=changes)
        return
    if comparison.values is not None:
        changes["values"] = config.trainings_named(comparison.values)
    for against in [None] if comparison.against is None else config.trainings_named([comparison.against]):
        yield comparison.model_copy(update={**changes, "against": against})
