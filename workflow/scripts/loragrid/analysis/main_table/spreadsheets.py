"""The table of the study, and the results of all runs and ways, with a column for each metric: for spreadsheets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from loragrid.analysis.columns import AXES, INTEGERS, MODEL
from loragrid.analysis.contrasts.columns import WAY
from loragrid.analysis.main_table.axes import metric_names
from loragrid.analysis.main_table.parts import Part

FIGURES = ("mean", "low", "high", "standing", "n", "seeds", "nb_failed", "nb_cut_off")
"""The columns of each column of the table of the study."""


def as_columns(parts: Sequence[Part]) -> pd.DataFrame:
    """One row for each row of each part: the axes that divide the parts, those of the rows, then the figures of each column.

    Where it is known, the last column says how much the trainings of a row have forgotten.
    """
    rows = []
    for part in parts:
        for labels in part.rows:
            row: dict[str, object] = {**part.fixed, **dict(zip(part.row_axes, labels, strict=True))}
            for column in part.columns:
                if (cell := part.cells.get((labels, column))) is not None:
                    row |= {f"{'/'.join(column)} {name}": getattr(cell, name) for name in FIGURES}
            rows.append(row)
    table = pd.DataFrame(rows)
    axes = list(dict.fromkeys(axis for part in parts for axis in (*part.fixed, *part.row_axes)))
    forgotten = [part.forgotten.get(labels, math.nan) for part in parts for labels in part.rows]
    known = {"forgotten": forgotten} if any(part.forgotten for part in parts) else {}
    return table[[*axes, *(name for name in table.columns if name not in axes)]].assign(**known)


def wide_runs(summary: pd.DataFrame) -> pd.DataFrame:
    """One row for each model and evaluated data set, seed by seed: all axes, then the mean in each metric."""
    return _wide(summary, MODEL, AXES)


def wide_ways(ways: pd.DataFrame) -> pd.DataFrame:
    """One row for each way and evaluated data set: its axes, then the mean over seeds in each metric."""
    return _wide(ways, WAY[: WAY.index("trained_task")], WAY)


def _wide(table: pd.DataFrame, keys: Sequence[str], axes: Sequence[str]) -> pd.DataFrame:
    """The means of a table with a row for each metric, side by side.

    Args:
        keys: the columns that tell rows apart; none has gaps.
        axes: all that are kept.
    """
    names = metric_names(table)
    wide = table.assign(shown=names).pivot(index=list(keys), columns="shown", values="mean")[list(dict.fromkeys(names))]
    rows = table[list(axes)].drop_duplicates(list(keys)).merge(wide.reset_index(), on=list(keys), how="left")
    return rows.astype({name: kind for name, kind in INTEGERS.items() if name in rows})
