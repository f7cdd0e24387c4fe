"""How often verdicts are right, in simulations whose truth is known."""

import numpy as np
import pytest

from simulations.grids import EVEN, RARE, SKEWED, Cell, Kind
from simulations.measures import equivalent, false_alarms, found, planned, stated


@pytest.mark.parametrize(
    ("cell", "size", "grids"),
    [
        (Cell(EVEN, 16, 1), 12, 150),
        (Cell(EVEN, 200, 1), 12, 200),
        (Cell(SKEWED, 50, 1), 12, 200),
        (Cell(RARE, 200, 3), 12, 100),
        (Cell(EVEN, 200, 3, 0.0, 0.05), 12, 300),
        (Cell(EVEN, 200, 5, 0.0, 0.05), 12, 200),
        (Cell(EVEN, 200, 3), 66, 60),
        (Cell(SKEWED, 50, 1), 66, 100),
        (Cell(EVEN, 200, 1, 0.5), 66, 40),
    ],
    ids=lambda value: f"{value.kind.name} {value.questions}x{value.seeds}" if isinstance(value, Cell) else str(value),
)
def test_at_most_5_percent_of_grids_without_any_difference_have_a_false_verdict(cell, size, grids):
    simultaneous, one_by_one = false_alarms(cell, size, grids)
    assert simultaneous <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / grids)
    assert one_by_one >= simultaneous


ERROR = 0.013
"""Of simulations of 1,000 repetitions of what happens in 80 %."""

BETTER = {
    "right or wrong": lambda difference: Kind("better", 0.5 + difference),
    "skewed": lambda difference: Kind("better", beta=(4 * (0.1 + difference), 4 * (0.9 - difference))),
}


@pytest.mark.parametrize("scores", BETTER)
@pytest.mark.parametrize(
    ("questions", "seeds", "likeness", "base"),
    [(200, 3, 0.0, False), (200, 3, 0.0, True), (200, 5, 0.5, False), (1000, 1, 0.0, False), (200, 1, 0.5, False)],
)
def test_a_difference_of_the_planned_detectable_size_is_found_in_78_to_85_percent(scores, questions, seeds, likeness, base):
    cell = Cell(BETTER[scores](0.0), questions, seeds, likeness)
    size = planned(cell, BETTER[scores], base)
    assert 0.78 - ERROR <= found(cell, BETTER[scores](size), 1000, base) <= 0.85 + ERROR


@pytest.mark.parametrize(
    ("questions", "seeds", "base"), [(100, 1, False), (200, 1, False), (200, 3, False), (200, 3, True), (200, 5, False)]
)
def test_what_comparisons_say_on_average_that_they_could_have_found_is_found(questions, seeds, base):
    cell = Cell(Kind("even", 0.5), questions, seeds)
    size = stated(cell, BETTER["right or wrong"], base)
    assert 0.77 <= found(cell, BETTER["right or wrong"](size), 1000, base) <= 0.86


@pytest.mark.parametrize("cell", [Cell(EVEN, 200, 1), Cell(SKEWED, 50, 1), Cell(EVEN, 200, 3)], ids=["even", "skewed", "seeds"])
def test_ways_that_differ_by_the_smallest_difference_that_matters_are_called_equivalent_in_at_most_5_percent(cell):
    matters = 0.15 if cell.kind is EVEN else 0.05
    other = Kind("worse", cell.kind.right - matters) if cell.kind.right else Kind("worse", beta=(0.2, 3.8))
    assert equivalent(cell, other, matters, 2000) <= 0.05 + 0.01
    assert equivalent(cell, cell.kind, matters, 500) > 0.3
