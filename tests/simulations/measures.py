"""How often intervals cover the truth, and verdicts are right."""

import zlib
from collections.abc import Callable
from itertools import combinations

import numpy as np

from loragrid.analysis.statistics.clusters import groups_of, totals
from loragrid.analysis.statistics.families import simultaneous_level
from loragrid.analysis.statistics.intervals import difference_of, distance, measure_difference, measure_mean
from loragrid.analysis.statistics.jackknife import value_of
from loragrid.analysis.statistics.power import RightOrWrong, Spreads, detectable_difference, planned_detectable_difference
from loragrid.analysis.statistics.proportions import flipped_signs
from loragrid.analysis.statistics.results import Results, Shape, Sums
from loragrid.analysis.statistics.tails import p_value
from simulations.grids import OTHER, Cell, Kind, in_parts, ways

BOUNDS = (0.0, 1.0)


def generator(*of: object) -> np.random.Generator:
    """Random numbers of their own for each cell, the same in each process."""
    return np.random.default_rng(zlib.crc32(repr(of).encode()))


def p_values(shape: Shape[np.ndarray], supposed: float) -> np.ndarray:
    return p_value(distance(shape, supposed), shape.parts)


def coverage_of_mean(cell: Cell, repetitions: int, bounds: tuple[float, float] | None = BOUNDS) -> float:
    """How often the 95 % interval of a mean holds the truth: of this training with one seed, of the mean of trainings with several."""
    rng, groups = generator("mean", cell), groups_of(cell.clusters)

    def covered(number: int) -> np.ndarray:
        _, shape = measure_mean(ways(rng, cell, number, [cell.kind])[0], groups, bounds)
        return p_values(shape, cell.kind.mean) >= 0.05

    return float(in_parts(covered, cell, repetitions).mean())


def coverage_of_difference(
    cell: Cell, repetitions: int, other: Kind | None = None, bounds: tuple[float, float] | None = BOUNDS, base: bool = False
) -> float:
    """How often the 95 % interval of a difference holds the truth.

    Args:
        base: the other way has no seeds.
    """
    other = other or OTHER[cell.kind]
    rng, groups = generator("difference", cell, other, base), groups_of(cell.clusters)
    truth = cell.kind.mean - other.mean

    def covered(number: int) -> np.ndarray:
        first, second = ways(rng, cell, number, [cell.kind, other], base)
        _, shape = measure_difference(first, second, groups, bounds)
        return p_values(shape, truth) >= 0.05

    return float(in_parts(covered, cell, repetitions).mean())


def exact_p_values(first: np.ndarray, second: np.ndarray, cell: Cell) -> np.ndarray:
    of_clusters = totals(first.mean(axis=1) - second.mean(axis=1), groups_of(cell.clusters))
    return np.array([flipped_signs(row) for row in of_clusters])


def rejected(first: np.ndarray, second: np.ndarray, cell: Cell) -> np.ndarray:
    """Whether each of many pairs of ways is called different."""
    _, shape = measure_difference(first, second, groups_of(cell.clusters), BOUNDS)
    found = p_values(shape, 0.0) < 0.05
    found[found] = exact_p_values(first[found], second[found], cell) < 0.05
    return found


def found(cell: Cell, other: Kind, repetitions: int, base: bool = False) -> float:
    """How often two ways, the second of the cell's kind, are called different."""
    rng = generator("found", cell, other, base)
    return float(
        in_parts(lambda number: rejected(*ways(rng, cell, number, [other, cell.kind], base), cell), cell, repetitions).mean()
    )


def planned(cell: Cell, better: Callable[[float], Kind], base: bool = False) -> float:
    """The detectable difference that is planned with the true spreads, which depend on the difference.

    Args:
        better: the kind of way that is better by so much than the cell's.
    """
    size = 0.0
    for _ in range(4):
        first, second = ways(generator("spreads", cell), cell, 600, [better(size), cell.kind], base)
        spread, shape = measure_difference(first, second, groups_of(cell.clusters), BOUNDS)
        of_clusters, _, between, interaction, _ = (float(part.mean()) for part in spread.parts)
        spreads = Spreads(
            cell.questions * (of_clusters - interaction),
            cell.seeds * (between - interaction),
            cell.questions * cell.seeds * interaction,
        )
        of_pair = RightOrWrong(float((shape.gains + shape.losses - (shape.gains - shape.losses) ** 2).mean()))
        size = planned_detectable_difference(
            spreads,
            cell.questions,
            cell.seeds,
            cell.nb_clusters,
            1 if base else 2,
            right_or_wrong=None if cell.kind.right is None else of_pair,
        )
    return size


def results_of(scores: np.ndarray, cell: Cell) -> Results:
    return Results(scores, cell.clusters, BOUNDS)


def stated(cell: Cell, better: Callable[[float], Kind], base: bool = False, repetitions: int = 200) -> float:
    """What comparisons of two ways say they could have found, half of them more, if that is how far these differ."""
    size = 0.0
    for _ in range(4):
        first, second = ways(generator("stated", cell), cell, repetitions, [better(size), cell.kind], base)
        compared = [difference_of(results_of(own, cell), results_of(its, cell)) for own, its in zip(first, second, strict=True)]
        size = float(np.median([detectable_difference(estimate) for estimate in compared]))
    return size


def equivalent(cell: Cell, other: Kind, matters: float, repetitions: int) -> float:
    """How often two ways are called equivalent by two one-sided tests of 5 % each."""
    rng, groups = generator("equivalent", cell, other), groups_of(cell.clusters)

    def called(number: int) -> np.ndarray:
        first, second = ways(rng, cell, number, [cell.kind, other])
        _, shape = measure_difference(first, second, groups, BOUNDS)
        above, below = distance(shape, -matters), distance(shape, matters)
        return (above > 0) & (below < 0) & (p_value(above, shape.parts) < 0.1) & (p_value(below, shape.parts) < 0.1)

    return float(in_parts(called, cell, repetitions).mean())


def false_alarms(cell: Cell, size: int, grids: int) -> tuple[float, float]:
    """The share of grids without any difference with a false verdict: with simultaneous intervals, and each by itself.

    Args:
        size: 12 for twelve ways against a base model, 66 for all pairs of twelve ways
    """
    rng, alarms = generator("alarms", cell, size), np.zeros(2)
    for _ in range(grids):
        kinds = [cell.kind] * (13 if size == 12 else 12)
        made = [results_of(scores[0], cell) for scores in ways(rng, cell, 1, kinds, base=size == 12)]
        pairs = [(own, made[-1]) for own in made[:-1]] if size == 12 else combinations(made, 2)
        compared = [difference_of(own, other) for own, other in pairs]
        least = min(estimate.p_value for estimate in compared)
        alarms += [least < 1 - simultaneous_level(compared), least < 0.05]
    simultaneous, one_by_one = alarms / grids
    return float(simultaneous), float(one_by_one)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Of sums per label: right, given and expected."""
    right, given, expected = np.moveaxis(counts.reshape(len(counts), 3, 3), 2, 0)
    return (2 * right / np.maximum(given + expected, 1)).mean(axis=1)


def coverage_of_sums(questions: int, seeds: int, repetitions: int) -> float:
    """How often the 95 % interval of the difference of two classifiers' macro F1 holds the truth; three labels, one of them rare."""
    rng, shares = generator("sums", questions, seeds), np.array([0.6, 0.3, 0.1])

    def counts(expected: np.ndarray, hard: np.ndarray, skill: float) -> np.ndarray:
        is_right = 0.7 * hard + 0.3 * rng.random((seeds, len(expected))) < skill
        given = np.where(is_right, expected, (expected + rng.integers(1, 3, is_right.shape)) % 3)
        asked = np.broadcast_to(np.eye(3)[expected], (seeds, len(expected), 3))
        said = np.eye(3)[given]
        return np.stack([asked * said, said, asked], axis=-1).reshape(seeds, len(expected), 9)

    def sums(number: int) -> tuple[Sums, Sums]:
        expected, hard = rng.choice(3, number, p=shares), rng.random(number)
        own, other = (Sums(counts(expected, hard, skill), np.arange(number), macro_f1, BOUNDS) for skill in (0.7, 0.6))
        return own, other

    large = [value_of(of_way) for of_way in sums(200_000)]
    truth, covered = large[0] - large[1], 0
    for _ in range(repetitions):
        estimate = difference_of(*sums(questions))
        covered += estimate.low <= truth <= estimate.high
    return covered / repetitions
