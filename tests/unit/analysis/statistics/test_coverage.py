"""What 95 % intervals promise, in simulations whose truth is known. `docs/statistics.md` has the table of the long form."""

import numpy as np
import pytest

from simulations.grids import EVEN, KINDS, OFTEN, RARE, SKEWED, Cell, Kind
from simulations.measures import coverage_of_difference, coverage_of_mean, coverage_of_sums

REPETITIONS = {16: 2000, 50: 2000, 200: 1000, 1000: 500}
ERROR = {number: 2 * np.sqrt(0.95 * 0.05 / repetitions) for number, repetitions in REPETITIONS.items()}
"""Of the simulation itself, on either side."""

CELLS = [Cell(kind, n, seeds, likeness) for n in REPETITIONS for seeds in (1, 3, 5) for likeness in (0.0, 0.5) for kind in KINDS]


def may_be_wide(cell: Cell) -> bool:
    """Few right or wrong answers leave intervals no choice but to be wide, and few clusters do not show how alike their answers are.

    Nor do three seeds show that they hardly matter, where few answers are wrong.
    """
    few_wrong = cell.kind in (RARE, OFTEN) and cell.seeds == 3
    return cell.questions <= 50 or (cell.questions == 200 and (cell.likeness > 0 or few_wrong))


def name(cell: Cell) -> str:
    return f"{cell.questions} questions, {cell.seeds} seeds, likeness {cell.likeness}, {cell.kind.name}"


@pytest.mark.parametrize("cell", CELLS, ids=name)
def test_intervals_of_means_and_differences_cover_the_truth_in_93_to_97_percent_or_are_wide(cell):
    repetitions, error = REPETITIONS[cell.questions], ERROR[cell.questions]
    found = [coverage_of_mean(cell, repetitions), coverage_of_difference(cell, repetitions)]
    assert min(found) >= 0.93 - error / 2
    assert may_be_wide(cell) or max(found) <= 0.97 + error / 2


@pytest.mark.parametrize("likeness", [0.0, 0.5])
@pytest.mark.parametrize("seed_share", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("base", [False, True], ids=["two trained ways", "against a base model"])
def test_it_does_not_depend_on_how_much_seeds_matter(likeness, seed_share, base):
    found = coverage_of_difference(Cell(EVEN, 200, 3, likeness, seed_share), 1000, base=base)
    assert found >= 0.93 - ERROR[200] / 2
    # Against a base model there are only three seeds to see from, not six.
    assert found <= (0.98 if base or likeness else 0.97) + ERROR[200] / 2


@pytest.mark.parametrize("seed_share", [0.0, 0.01, 0.05, 0.2])
def test_two_seeds_hold_what_they_promise(seed_share):
    cell = Cell(EVEN, 200, 2, 0.0, seed_share)
    found = [coverage_of_mean(cell, 1000), *(coverage_of_difference(cell, 1000, base=base) for base in (False, True))]
    assert min(found) >= 0.93 - ERROR[200] / 2


@pytest.mark.parametrize("likeness", [0.2, 0.7])
@pytest.mark.parametrize("kind", [RARE, EVEN, OFTEN, SKEWED], ids=lambda kind: kind.name)
def test_clusters_may_be_less_or_more_alike(kind, likeness):
    assert coverage_of_mean(Cell(kind, 200, 1, likeness), 1000) >= 0.92


@pytest.mark.parametrize("seeds", [1, 3])
def test_unbounded_values_have_intervals_that_hold_too(seeds):
    cell = Cell(Kind("even scores", beta=(2, 2)), 50, seeds)
    assert 0.93 <= coverage_of_mean(cell, 2000, bounds=None) <= 0.97
    assert 0.93 <= coverage_of_difference(cell, 2000, Kind("other", beta=(2, 3)), bounds=None) <= 0.97


@pytest.mark.parametrize(("questions", "seeds"), [(50, 1), (200, 1), (200, 3)])
def test_metrics_over_all_examples_have_intervals_that_hold_too(questions, seeds):
    assert 0.92 <= coverage_of_sums(questions, seeds, 400) <= 0.985
