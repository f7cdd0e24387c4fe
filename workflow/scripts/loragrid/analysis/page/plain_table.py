"""A table of the page without its code: for browsers that run none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from loragrid.analysis.page.rendering import number
from loragrid.analysis.page.tables import Payload

MOST_ROWS = 300


class PlainTable(NamedTuple):
    """Heads and cells as texts."""

    title: str
    heads: list[str]
    rows: list[list[str]]
    left_out: int
    """Rows that are too many."""


def plain_table(table: Payload) -> PlainTable:
    """The columns that the page shows at first, with values written as the page writes them.

    Args:
        table: as `PageTable.payload` gives it.
    """
    shown = [column for column in table["columns"] if not column.get("hidden")]
    values = table["rows"]
    count = len(next(iter(values.values()), []))
    rows = [[_text(column, values, row) for column in shown] for row in range(min(count, MOST_ROWS))]
    return PlainTable(table["title"], [column["label"] for column in shown], rows, max(0, count - MOST_ROWS))


def _text(column: Mapping[str, Any], values: Mapping[str, list[Any]], row: int) -> str:
    value, digits = values[column["key"]][row], column.get("digits", 3)
    if value is None or value == "":
        return "–"
    if isinstance(value, str | bool):
        return str(value)
    match column["kind"]:
        case "integer":
            return f"{value:,.0f}"
        case "percent":
            return f"{100 * value:,.{column.get('digits', 0)}f} %"
        case "text" | "code":
            return str(value)
    is_signed = column["kind"] == "signed" or column.get("verdict")
    sign = "+" if is_signed and value > 0 else ""
    ends = [values[column[end]][row] for end in ("low", "high") if column.get(end)]
    interval = f" [{', '.join(number(end, digits) for end in ends)}]" if any(end is not None for end in ends) else ""
    return f"{sign}{number(value, digits)}{interval}"
