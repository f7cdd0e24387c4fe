"""What figures say about ways and runs: short names, and the columns by which the page filters."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from loragrid.analysis.columns import ASKED, EVALUATED
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.labels import label_runs
from loragrid.layout import BASELINE

WAY_AXES = [*EVALUATED, *TRAINED, *ASKED]
"""The axes of a way on an evaluated data set."""

RUN_AXES = [*WAY_AXES, "seed"]


def named_ways(table: pd.DataFrame) -> pd.DataFrame:
    """A table of ways with `label`, a short name of each, and `order`, the number of the label in order of appearance.

    Args:
        table: with the columns of `contrasts.columns.WAY`.
    """
    return with_labels(table.assign(run=table["way"], seed=pd.array([0] * len(table), dtype="Int64"))).drop(
        columns=["run", "seed"]
    )


def with_labels(table: pd.DataFrame) -> pd.DataFrame:
    """A table of runs with `label` and `order`; several base models are named in front of the label."""
    labels = pd.Series(label_runs(table), index=table.index, dtype=object)
    models = table["base_model"].where(table["base_model"] != BASELINE)
    if models.nunique() > 1:
        labels = labels.where(models.isna(), models.fillna("") + ": " + labels)
    order = pd.factorize(labels)[0] if len(table) else pd.Series(dtype=int)
    return table.assign(label=labels, order=order)


def matching_all(table: pd.DataFrame) -> pd.DataFrame:
    """The table, in which trivial baselines have no base model and are asked in no way: they stand beside every filter."""
    is_baseline = table["base_model"] == BASELINE
    blank = {name: table[name].where(~is_baseline, None) for name in ("base_model", *ASKED) if name in table}
    return table.assign(**blank)


def metric_names(table: pd.DataFrame) -> pd.Series:
    """The metric of each row, as `scorer/metric`."""
    return table["scorer"] + "/" + table["metric"]


def distinct(names: Sequence[str] | pd.Series) -> list[str]:
    """The names, each once, in order of appearance."""
    return list(dict.fromkeys(names))
