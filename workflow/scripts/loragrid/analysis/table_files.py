"""Tables on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from loragrid.runtime.files import written_whole
from loragrid.runtime.spreadsheets import guarded, unguarded


def write_table(table: pd.DataFrame, *paths: str | Path) -> None:
    """Write a table as CSV or Parquet, by the ending of each path, whole or not at all.

    No text in a CSV file is a formula for a spreadsheet.
    """
    for path in map(Path, paths):
        with written_whole(path) as temporary:
            if path.suffix == ".csv":
                texts = table.map(lambda cell: guarded(cell) if isinstance(cell, str) else cell)
                # By default the writer does not quote a carriage return, and a reader would begin a new row after it.
                has_returns = texts.map(lambda cell: isinstance(cell, str) and "\r" in cell).to_numpy().any()
                quoting: Literal[0, 1] = csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL
                texts.to_csv(temporary, index=False, lineterminator="\n", quoting=quoting)
            else:
                table.to_parquet(temporary, index=False)


def read_csv_table(path: str | Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """A table that was written as CSV.

    Args:
        texts: columns of names. A name may look like a number, or like a missing value.
    """
    table = pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[""])
    return table.map(lambda cell: unguarded(cell) if isinstance(cell, str) else cell)
