"""Tables on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from loragrid.runtime.files import written_whole
from loragrid.runtime.spreadsheets import guarded


def write_table(table: pd.DataFrame, *paths: str | Path) -> None:
    """Write a table as CSV or Parquet, by the ending of each path, whole or not at all.

    No text in a CSV file is a formula for a spreadsheet.
    """
    for path in map(Path, paths):
        with written_whole(path) as temporary:
            if path.suffix == ".csv":
                texts = table.map(lambda cell: guarded(cell) if isinstance(cell, str) else cell)
                texts.to_csv(temporary, index=False, lineterminator="\n")
            else:
                table.to_parquet(temporary, index=False)


def read_csv_table(path: str | Path, texts: Sequence[str] = ()) -> pd.DataFrame:
    """A table that was written as CSV.

    Args:
        texts: columns of names. A name may look like a number, or like a missing value.
    """
    return pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[""])
