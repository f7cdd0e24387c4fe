"""The tables of the report as its page gets them: columns of plain values, with what a reader needs to know of each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.page.words import WORDS, Words, estimates_of
from loragrid.layout import BASELINE, EXTERNAL

Payload = dict[str, Any]
"""Plain data that becomes JSON."""


class Column(NamedTuple):
    """A column of a table in the page."""

    key: str
    label: str
    kind: str = "text"
    """text, code, integer, number, signed, percent, seconds, bytes, verdict or estimate."""
    digits: int | None = None
    """Decimals."""
    help: str = ""
    hidden: bool = False
    """Whether a reader has to ask for the column."""
    low: str = ""
    """Of an estimate: the column with the lower end of its interval; `high` is the upper one's."""
    high: str = ""
    verdict: str = ""
    """Of an estimate: the column with the verdict, by which it is coloured."""

    def payload(self) -> Payload:
        """The column without what it does not say."""
        return {name: value for name, value in self._asdict().items() if value not in (None, "", False)}


class PageTable(NamedTuple):
    """A table of the page."""

    id: str
    title: str
    columns: Sequence[Column]
    rows: pd.DataFrame
    note: str | None = None
    unfold: str | None = None
    """The table whose rows with the same values in `key` are shown below a row on demand."""
    key: Sequence[str] = ()

    def payload(self) -> Payload:
        """The table as plain data. A cell without a value is None; infinite numbers have no place in JSON, and are None too."""
        return {
            "title": self.title,
            "note": self.note,
            "columns": [column.payload() for column in self.columns],
            "rows": {str(name): plain(self.rows[name]) for name in self.rows.columns},
            "unfold": self.unfold,
            "key": list(self.key),
        }


def plain(values: pd.Series) -> list[Any]:
    """The values of a column as JSON can have them."""
    return [_plain(value) for value in values.tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | bool | int) or value is None:
        return value
    if value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, float) else str(value)


def page_table(
    id: str,
    title: str,
    rows: pd.DataFrame,
    first: Sequence[str],
    note: str | None = None,
    words: Mapping[str, Words] | None = None,
    estimates: Mapping[str, tuple[str, ...]] | None = None,
    unfold: str | None = None,
    key: Sequence[str] = (),
) -> PageTable:
    """A table with the columns that matter first; the others are hidden until a reader asks for them.

    Args:
        first: the columns that matter, in their order. Those that are missing are skipped; those of which all rows have the same
            value, or none, are hidden if they name something.
        words: what columns are called here, where that is not as in `WORDS`.
        estimates: columns with an interval: the columns of its ends, and if there is one, that of the verdict.
    """
    said = {**WORDS, **(words or {})}
    intervals = {**estimates_of(rows.columns), **(estimates or {})}
    ends = {end for own in intervals.values() for end in own[:2]}
    shown = [name for name in first if name in rows.columns]
    rest = [str(name) for name in rows.columns if name not in shown and name not in ends]
    columns = [_column(name, said, intervals, _is_needless(rows, name, said, intervals)) for name in shown]
    columns += [_column(name, said, intervals, hidden=True) for name in rest]
    return PageTable(id, title, columns, rows, note, unfold, key)


def _is_needless(rows: pd.DataFrame, name: str, said: Mapping[str, Words], intervals: Mapping[str, Any]) -> bool:
    """Whether a column tells no rows apart: it names the same in all of them, or is empty."""
    kind = said[name].kind if name in said else "text"
    is_name = kind in ("text", "code", "integer") and name not in intervals and (name in said and said[name].tells_apart)
    # Baselines, and answers from elsewhere, have no base model.
    values = rows[name][~rows[name].isin([BASELINE, EXTERNAL])] if name == "base_model" else rows[name]
    return bool(rows[name].isna().all()) or (is_name and values.nunique(dropna=True) <= 1)


def _column(name: str, said: Mapping[str, Words], intervals: Mapping[str, tuple[str, ...]], hidden: bool) -> Column:
    words = said.get(name) or Words(name.replace("_", " "), "text")
    low, high, verdict = (*intervals.get(name, ("", "")), "")[:3]
    kind = "estimate" if low else words.kind
    return Column(name, words.label, kind, words.digits, words.help, hidden, low, high, verdict)


def payload_of_tables(tables: Iterable[PageTable]) -> Payload:
    """Tables by their ids; those without rows are left out."""
    return {table.id: table.payload() for table in tables if len(table.rows)}
