"""The choices as the report shows them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from loragrid.analysis.selection.candidates import GIVEN, TRAINED
from loragrid.analysis.selection.settings import VALIDATION_LOSS

_NAMED_ANYWAY = ("base_model", "task", "sample_type", "trained_task")
_WORDS = {
    "trained_sample_type": "trained on {}",
    "nb_samples": "n={}",
    "prompt_variant": "prompt {}",
    "loss_computation": "{} loss",
}


def shown_choices(table: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """For each thing that decides, its choices: a row each, with what the chosen way and the best by test score in one metric.

    That is the metric that decides; where the validation loss does, the main metric, and apart from these choices those among
    ways that lack it, in their first metric. Of the choices that are `decided`, the ways `differ` on test data in some; `agreed`
    counts those of them where the chosen way is also the best by test. `optimism` is the mean over choices of how much better a
    choice by test would have looked.

    Args:
        table: `tables/selection.csv`.
        metric: the main metric, as `scorer/metric`.
    """
    # Columns without any metric would have the type of numbers.
    table = table.assign(name=table["scorer"].astype(object) + "/" + table["metric"].astype(object))
    return [
        _shown(str(by), str(reported), rows)
        for by, of_one in table.groupby("by", sort=False)
        for reported, of_metric in of_one.groupby(_reported(of_one, metric) if by == VALIDATION_LOSS else "by", sort=False)
        for rows in [of_metric[(of_metric["name"] == reported) | of_metric["name"].isna()]]
        if len(rows)
    ]


def _shown(by: str, metric: str, rows: pd.DataFrame) -> dict[str, Any]:
    decided = rows.dropna(subset="chosen")
    differing = decided[decided["best_ties"] < decided["ways"]]
    return {
        "by": by,
        "metric": metric,
        "lower_is_better": bool(decided["lower_is_better"].any()),
        "is_loss": by == VALIDATION_LOSS,
        "decided": len(decided),
        "differ": len(differing),
        "agreed": int((differing["chosen"] == differing["best_by_test"]).sum()),
        "optimism": float(decided["optimism"].mean()),
        "rows": rows.fillna({"chosen": "", "note": ""}).assign(setting=_settings(rows)).to_dict("records"),
    }


def _reported(rows: pd.DataFrame, main: str) -> pd.Series:
    """For each row the metric that its choice is reported by: the main one, or the first if the ways lack that."""
    of_choices = rows.groupby([*GIVEN, *TRAINED], sort=False, dropna=False)["name"]
    return of_choices.transform(lambda names: main if main in set(names) else next(iter(names.dropna()), main)).astype(object)


def _settings(rows: pd.DataFrame) -> list[str]:
    """What tells the choices on a data set apart: the axes that they have not all in common."""
    axes = [axis for axis in (*GIVEN, *TRAINED) if axis not in _NAMED_ANYWAY and rows[axis].nunique(dropna=False) > 1]
    return [
        ", ".join(_WORDS.get(axis, "{}").format(value) for axis, value in zip(axes, values, strict=True) if not pd.isna(value))
        or ("base model" if pd.isna(trained) else "")
        for trained, *values in rows[["trained_task", *axes]].itertuples(index=False, name=None)
    ]
