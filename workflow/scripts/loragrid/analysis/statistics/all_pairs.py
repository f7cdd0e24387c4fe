"""Differences of many pairs of ways on the same questions, at once: what `difference_of` measures, without intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from loragrid.analysis.statistics.clusters import Groups, groups_of, totals
from loragrid.analysis.statistics.intervals import estimate_at, measure_difference, nb_questions
from loragrid.analysis.statistics.jackknife import as_results, value_of
from loragrid.analysis.statistics.proportions import flipped_signs
from loragrid.analysis.statistics.results import Estimate, Results, Sums

MOST_NUMBERS = 4_000_000
"""So many differences of single answers are in memory at a time."""


def differences(ways: Sequence[Results | Sums], pairs: Sequence[tuple[int, int]], matched_seeds: bool) -> list[Estimate]:
    """The first way of each pair minus the second.

    Args:
        ways: on the same questions in the same order.
        matched_seeds: the rows of all ways that have as many belong together.
    """
    measured = [as_results(way) for way in ways]
    groups = groups_of(measured[0].clusters)
    values = np.array([value_of(way) for way in ways])
    by_seeds: dict[tuple[int, int], list[int]] = {}
    for place, (own, other) in enumerate(pairs):
        by_seeds.setdefault((len(measured[own].values), len(measured[other].values)), []).append(place)
    found: dict[int, Estimate] = {}
    for (seeds, other_seeds), places in by_seeds.items():
        step = max(1, MOST_NUMBERS // (measured[0].values.shape[1] * seeds * other_seeds))
        are_matched = matched_seeds and seeds == other_seeds and seeds > 1
        for start in range(0, len(places), step):
            some = places[start : start + step]
            of_some = _measured_alike(
                measured, values, [pairs[place] for place in some], groups, nb_questions(ways[0]), are_matched
            )
            found.update(zip(some, of_some, strict=True))
    return [found[place] for place in range(len(pairs))]


def _measured_alike(
    ways: Sequence[Results], values: np.ndarray, pairs: Sequence[tuple[int, int]], groups: Groups, questions: int, matched: bool
) -> Iterator[Estimate]:
    """Of pairs with the same numbers of seeds."""
    own, other = (np.stack([ways[pair[side]].values for pair in pairs]) for side in (0, 1))
    values = np.array([values[first] - values[second] for first, second in pairs])
    spread, shape = measure_difference(own, other, groups, ways[0].bounds, matched, values)
    of_clusters = totals(own.mean(axis=1) - other.mean(axis=1), groups)
    seeds = max(own.shape[1], other.shape[1])
    for place in range(len(pairs)):
        estimate = estimate_at(place, spread, shape, groups, questions, seeds)
        yield estimate._replace(shape=estimate.shape._replace(exact=flipped_signs(of_clusters[place])))
