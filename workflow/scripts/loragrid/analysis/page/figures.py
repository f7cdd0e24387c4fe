"""The figures of the page, from their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.columns import AXES
from loragrid.analysis.figures.files import TEXT, WHOLE, values_of
from loragrid.analysis.table_files import read_csv_table
from loragrid.layout import FIGURES
from loragrid.runtime.manifests import read_json


def shown_figures(files: Mapping[str, str | Path]) -> list[dict[str, Any]]:
    """The figures that show something, in the order of the report.

    Args:
        files: the files of figures, by the names in `layout`.

    Returns:
        For each `id`, `title`, `caption`, `spec` without data, `rows` as columns of values, and the columns in it that are axes.
    """
    names = [name for figures in FIGURES.values() for name in figures if f"{name}_json" in files]
    shown = (shown_figure(name, files[f"{name}_json"], files[f"{name}_csv"]) for name in names)
    return [figure for figure in shown if figure is not None]


def shown_figure(name: str, specification: str | Path, data: str | Path) -> dict[str, Any] | None:
    """One figure; None if it has no rows."""
    spec = read_json(specification, ["usermeta"])
    about = spec.pop("usermeta")
    rows = read_rows(data, about["columns"])
    if rows.empty:
        return None
    return {
        "id": name,
        "title": about["title"],
        "caption": " ".join(part for part in (about["caption"], about["note"]) if part),
        "spec": spec,
        "rows": {str(column): values_of(values) for column, values in rows.items()},
        "axes": [axis for axis in AXES if axis in rows and axis != "run"],
    }


def read_rows(data: str | Path, kinds: Mapping[str, str]) -> pd.DataFrame:
    """The rows of a figure, each column as its specification says.

    Raises:
        DamagedError: if the file is no such table.
    """
    texts = [name for name, kind in kinds.items() if kind == TEXT]
    rows = read_csv_table(data, texts, list(kinds))
    return rows.astype({name: "Int64" for name, kind in kinds.items() if kind == WHOLE})
