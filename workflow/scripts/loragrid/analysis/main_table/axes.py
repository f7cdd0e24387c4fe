"""Which axes vary among the ways, and which of them are rows, columns or parts of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from loragrid.analysis.columns import ASKED, METRIC
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.main_table.settings import MainTable
from loragrid.layout import BASE, BASELINE, EXTERNAL

WAY_AXES = (
    "base_model",
    "trained_task",
    "trained_sample_type",
    "mix",
    "config",
    "loss_computation",
    "nb_samples",
    "prompting",
    "prompt_variant",
    "decoding",
)
"""What makes a way, in the order in which rows name it."""


DATA_AXES = ("task", "sample_type")
"""What a way is tested on."""


_TESTED_ON = {"trained_task": "task", "trained_sample_type": "sample_type"}


class Shape(NamedTuple):
    """The axes of the rows, of the columns, and of the parts of a table."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    parts: tuple[str, ...]


def axis_values(ways: pd.DataFrame) -> pd.DataFrame:
    """The value of each axis and metric as text, for each row of the table of ways; None where a way has no such axis.

    A base model alone is trained on nothing. A trivial baseline has no base model and is not asked; nor is it known how external
    predictions were asked.
    """
    is_asked = (ways["way"] == BASE) | ways["trained_task"].notna()
    lacking = {
        "base_model": ways["base_model"].isin([BASELINE, EXTERNAL]),
        **dict.fromkeys(ASKED, ~is_asked),
        **{axis: ways[axis].isna() for axis in TRAINED},
    }
    found: dict[str, list[str | None]] = {}
    for axis in (*WAY_AXES, *DATA_AXES):
        gaps = lacking.get(axis, [False] * len(ways))
        texts = (_text(axis, value, is_gap) for value, is_gap in zip(ways[axis], gaps, strict=True))
        found[axis] = list(texts)
    return pd.DataFrame(found, index=ways.index, dtype=object).assign(metric=metric_names(ways).astype(object))


def _text(axis: str, value: object, is_gap: bool) -> str | None:
    if is_gap:
        return None
    return f"{value:.0f}" if axis == "nb_samples" else str(value)


def metric_names(table: pd.DataFrame) -> pd.Series:
    """The metric of each row as `scorer/metric`."""
    scorer, metric = METRIC
    return table[scorer].astype(str) + "/" + table[metric].astype(str)


def varying(values: pd.DataFrame) -> list[str]:
    """The axes with several values. Where all runs are tested on what they are trained for, only the tested data set counts."""
    found = [axis for axis in (*WAY_AXES, *DATA_AXES) if values[axis].nunique() > 1]
    return [axis for axis in found if axis not in _TESTED_ON or _differs(values, axis, _TESTED_ON[axis])]


def _differs(values: pd.DataFrame, trained: str, tested: str) -> bool:
    rows = values.dropna(subset=trained)
    return bool((rows[trained] != rows[tested]).any())


def shape_of(table: MainTable, values: pd.DataFrame) -> Shape:
    """Where each axis stands: as the configuration says, else by default (`MainTable`). What varies stands somewhere."""
    vary = varying(values)
    named = {*(table.rows or ()), *(table.columns or ())}
    free = [axis for axis in vary if axis not in named]
    rows = _chosen(table.rows, [axis for axis in free if axis in WAY_AXES])
    columns = _chosen(table.columns, [axis for axis in free if axis in DATA_AXES])
    if "metric" not in named and table.columns is None and not columns:
        columns = ("metric",)
    placed = {*rows, *columns}
    parts = [axis for axis in ("metric", *DATA_AXES, *WAY_AXES) if axis not in placed and (axis in vary or axis == "metric")]
    return Shape(rows, columns, tuple(parts))


def _chosen(named: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    return tuple(default if named is None else named)


def names_untrained_in_rows(shape: Shape) -> bool:
    """Whether base models and baselines are rows: unless only columns tell what runs are trained on."""
    return any(axis in TRAINED for axis in shape.rows) or not any(axis in TRAINED for axis in shape.columns)
