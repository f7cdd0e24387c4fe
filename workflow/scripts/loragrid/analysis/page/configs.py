"""The hyper-parameters of each config, as its trainings were told them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.runtime.manifests import read_json

Hyperparameters = Mapping[str, Mapping[str, str]]
"""By config and name, as text."""

DIFFERS = "differs between trainings"
"""In the place of a value: results of an earlier configuration are among the trainings."""


def read_hyperparameters(manifests: Iterable[str | Path]) -> dict[str, dict[str, str]]:
    """The settings of each config that has been trained with.

    Args:
        manifests: of trainings.
    """
    found: dict[str, dict[str, str]] = {}
    for path in manifests:
        manifest = read_json(path, ["run"])
        told = {str(name): as_text(value) for name, value in manifest.get("config", {}).items()}
        own = found.setdefault(str(manifest["run"]["config"]), told)
        for name in {*own, *told}:
            if own.get(name, "") != told.get(name, ""):
                own[name] = DIFFERS
    return found


def as_text(value: Any) -> str:
    """A setting as a reader writes it; empty for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(as_text, value)) if isinstance(value, list) else str(value)


def varying(hyperparameters: Hyperparameters) -> list[str]:
    """The names of the settings in which configs differ."""
    names = dict.fromkeys(name for own in hyperparameters.values() for name in own)
    return [name for name in names if len({own.get(name, "") for own in hyperparameters.values()}) > 1]


SWEPT = {
    "of_config": Words("settings of", help="The config whose sweep has this setting."),
    "settings": Words("number of settings", "integer", "How many settings of this config were trained: compare like with like."),
}
"""Columns of configs where one has a sweep."""


def nb_settings(config_of: Mapping[str, str], trainings: pd.Series) -> dict[str, int]:
    """How many different trainings belong to each config; a config without a sweep is one.

    Args:
        trainings: names of configs and of settings, each as often as it likes.
    """
    named = trainings.drop_duplicates()
    return {str(config): int(number) for config, number in named.replace(dict(config_of)).value_counts(sort=False).items()}


def configs_table(hyperparameters: Hyperparameters, config_of: Mapping[str, str] = MappingProxyType({})) -> PageTable:
    """A row for each config, or for each setting of one; what they differ in comes first, and what is the same in all is hidden.

    Args:
        config_of: the config that each setting of a sweep belongs to.
    """
    rows = pd.DataFrame([{"config": config, **own} for config, own in hyperparameters.items()], dtype=object).fillna("")
    given = [str(name) for name in rows.columns if (rows[name] != "").any()]
    first = ["config", *varying(hyperparameters)] if len(hyperparameters) > 1 else given
    words = {str(name): Words(str(name).replace("_", " ")) for name in rows.columns}
    if config_of and len(rows):
        of_sweep = rows["config"].replace(dict(config_of))
        tried = of_sweep.map(nb_settings(config_of, rows["config"]))
        rows.insert(1, "of_config", of_sweep)
        rows.insert(2, "settings", tried)
        first = ["config", *SWEPT, *first[1:]]
        words |= SWEPT
    return page_table("configs", "Training configurations", rows, first, words=words)
