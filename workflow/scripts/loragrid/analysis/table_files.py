"""Tables on disk."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd

from loragrid.errors import DamagedError
from loragrid.runtime.files import written_whole
from loragrid.runtime.spreadsheets import guarded, unguarded
from loragrid.text.words import shortened


@contextmanager
def _damage_named(path: str | Path) -> Iterator[None]:
    """Name the file when a library cannot read it."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError):
        raise
    except (ValueError, OSError) as error:
        raise DamagedError(path, f"not a whole table ({shortened(str(error).splitlines()[0], 100)})") from None


def write_table(table: pd.DataFrame, *paths: str | Path) -> None:
    """Write a table as CSV or Parquet, by the ending of each path, whole or not at all.

    No text in a CSV file is a formula for a spreadsheet.
    """
    for path in map(Path, paths):
        with written_whole(path) as temporary:
            if path.suffix == ".csv":
                guarded_table = _with_texts(table, guarded)
                # By default the writer does not quote a carriage return, and a reader would begin a new row after it.
                has_returns = any("\r" in cell for cell in _texts(guarded_table))
                quoting: Literal[0, 1] = csv.QUOTE_ALL if has_returns else csv.QUOTE_MINIMAL
                guarded_table.to_csv(temporary, index=False, lineterminator="\n", quoting=quoting)
            else:
                table.to_parquet(temporary, index=False)


def _may_have_texts(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def _texts(table: pd.DataFrame) -> Iterator[str]:
    """The cells of a table that are texts."""
    for _, column in table.items():
        if _may_have_texts(column):
            yield from (cell for cell in column if isinstance(cell, str))


def _with_texts(table: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """A table whose texts are changed. Its other cells are as they were."""
    # Most texts are names, which stand in many rows.
    changed, change = table.copy(deep=False), cache(change)
    for name, column in table.items():
        if _may_have_texts(column):
            changed[name] = column.map(lambda cell: change(cell) if isinstance(cell, str) else cell)
    return changed


def read_parquet_table(path: str | Path) -> pd.DataFrame:
    """A table that was written as Parquet.

    Raises:
        DamagedError: if the file is no such table.
    """
    with _damage_named(path):
        return pd.read_parquet(path)


def read_csv_table(
    path: str | Path, texts: Sequence[str] = (), needed: Collection[str] = (), numbers: Collection[str] = ()
) -> pd.DataFrame:
    """A table that was written as CSV.

    Args:
        texts: columns of names. A name may look like a number, or like a missing value.
        needed: columns without which the file is not this table.
        numbers: further such columns, in which each cell is a number or empty.

    Raises:
        DamagedError: if the file is no such table.
    """
    with _damage_named(path):
        table = pd.read_csv(path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=[""])
    if lacking := [name for name in (*needed, *numbers) if name not in table.columns]:
        raise DamagedError(
            path, f"expected a table with the columns {', '.join((*needed, *numbers))}, but there is no {lacking[0]}"
        )
    for name in (name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])):
        odd = table[name][pd.to_numeric(table[name], errors="coerce").isna() & table[name].notna()]
        if len(odd):
            found = shortened(str(odd.iloc[0]), 40)
            raise DamagedError(path, f"expected a number in the column {name}, found '{found}'", line=int(odd.index[0]) + 2)
    return _with_texts(table, unguarded)
