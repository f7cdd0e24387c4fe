"""What trackers are told of each model: its scores, and the verdicts of the contrasts in which its kind comes first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import USUAL

SCORES, VERDICTS = "scores", "verdicts"
"""The groups in which trackers show these values."""

NO_VERDICT = "no verdict"
"""What is told of contrasts that there are too little data for."""

TRAINED = ("trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed")
"""The axes of a run, as trackers are told them."""


class TrackedModel(NamedTuple):
    """What trackers are told of a model."""

    base_model: str
    run: str
    axes: Mapping[str, str | int]
    """What it was trained on, and how; empty if nothing was trained."""
    values: dict[str, float]
    """Means and differences, by names such as `scores/task/sample_type/scorer/metric`."""
    texts: dict[str, str]
    """What may be said of a difference, by the same name as the difference."""


def tracked_models(
    scores: pd.DataFrame, contrasts: pd.DataFrame, main: MainMetrics, experiment: str | None
) -> list[TrackedModel]:
    """What trackers are told, in the order of the table of scores.

    Args:
        scores, contrasts: the tables of these names. Of contrasts, those in the main metric of their task are told.
        experiment: the name of the experiment. Others may compare the same runs otherwise, so verdicts have it in their names.
    """
    models: dict[tuple[str, str], TrackedModel] = {}
    for row in _rows(scores):
        name = (row["base_model"], row["run"])
        axes = {axis: row[axis] for axis in TRAINED if row[axis] is not None}
        told = models.setdefault(name, TrackedModel(*name, axes, {}, {}))
        place = "/".join([SCORES, row["task"], row["sample_type"], *_asked(row), row["scorer"], row["metric"]])
        _add(told.values, {place: row["mean"], f"{place}/standard_error": row["standard_error"]})
    of_way: dict[tuple[str, str], set[str]] = {}
    for way, members in ways_of(scores).items():
        # A seed may have results on some data sets alone.
        of_way.setdefault((way.base_model, way.way), set()).update(key[MODEL.index("run")] for key in members.values())
    group = VERDICTS if experiment is None else f"{VERDICTS} of {experiment}"
    for row in _rows(main.rows(contrasts)):
        place = f"{group}/{_contrast(row)}"
        for run in sorted(of_way.get((row["base_model"], row["way"]), ())):
            told = models[row["base_model"], run]
            told.texts[place] = f"{row['verdict'] or NO_VERDICT}: {row['sentence']}"
            _add(told.values, {f"{place}/{name}": row[name] for name in ("difference", "low", "high")})
    return list(models.values())


def _rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a table, with None where there is nothing."""
    plain = table.astype(object).where(table.notna(), None)
    return (dict(zip(plain.columns, row, strict=True)) for row in plain.itertuples(index=False, name=None))


def _asked(row: Mapping[str, Any]) -> list[str]:
    """How a model was asked; nothing if in the usual way."""
    asked = (row["prompting"], row["prompt_variant"], row["decoding"])
    return [] if asked == USUAL else list(asked)


def _contrast(row: Mapping[str, Any]) -> str:
    """The name of a contrast, and the metric."""
    references = [row["sample_type"]]
    if row["other_sample_type"] not in (None, row["sample_type"]):
        references.append(row["other_sample_type"])
    of = row["task"] or f"over {row['tasks']}"
    both = f"{row['axis']} {row['kind']}, {row['own']} against {row['other']}"
    return "/".join([of, " against ".join(map(str, references)), *_asked(row), both, row["scorer"], row["metric"]])


def _add(values: dict[str, float], new: Mapping[str, Any]) -> None:
    """Add the numbers that are finite: trackers draw no others."""
    values |= {name: float(value) for name, value in new.items() if value is not None and math.isfinite(value)}
