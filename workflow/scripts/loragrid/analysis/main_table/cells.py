"""What stands in a cell of the table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Standing(StrEnum):
    """How a way stands to the best of its column."""

    BEST = "best"
    EQUIVALENT = "equivalent to the best"
    UNDECIDED = "not told apart from the best"


class Cell(NamedTuple):
    """The result of a way on a data set in a metric."""

    metric: str
    mean: float
    low: float
    high: float
    n: int
    clusters: int
    seeds: int
    nb_failed: int
    nb_cut_off: int
    standing: Standing | None
    is_trained: bool


class CellText(NamedTuple):
    """The parts of a cell as text; the interval is empty where there is none."""

    mean: str
    interval: str


MISSING = "–"
"""What stands for a mean that cannot be computed, and for an axis that a way does not have."""


def decimals(cells: Iterable[Cell]) -> int:
    """How many decimals the figures of a metric have: as many as give three or four digits to the largest."""
    numbers = [abs(number) for cell in cells for number in (cell.mean, cell.low, cell.high) if math.isfinite(number)]
    largest = max(numbers, default=0.0)
    return 3 if largest < 10 else max(0, 3 - int(math.log10(largest)))


def text_of(cell: Cell, places: int) -> CellText:
    """Mean and interval with so many decimals."""
    if not math.isfinite(cell.mean):
        return CellText(MISSING, "")
    has_interval = math.isfinite(cell.low) and math.isfinite(cell.high)
    interval = f"[{_number(cell.low, places)}, {_number(cell.high, places)}]" if has_interval else ""
    return CellText(_number(cell.mean, places), interval)


def _number(value: float, places: int) -> str:
    text = f"{value:.{places}f}"
    # No figure is less than nothing by rounding.
    return text.removeprefix("-") if float(text) == 0 else text


def decimals_by_metric(cells: Iterable[Cell]) -> dict[str, int]:
    """The decimals of the figures of each metric."""
    by_metric: dict[str, list[Cell]] = {}
    for cell in cells:
        by_metric.setdefault(cell.metric, []).append(cell)
    return {metric: decimals(of_metric) for metric, of_metric in by_metric.items()}
