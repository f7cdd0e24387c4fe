"""How far two raters agree, beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from loragrid.analysis.statistics.cluster_jackknife import Interval, interval
from loragrid.analysis.statistics.levels import Level

LEAST_TELLING = 8
"""With fewer clusters in which anybody gives another than the most frequent value, nothing is said about the error."""


MOST_PARTS = 100
"""With more clusters, the jackknife leaves out several at a time."""


class Agreed(NamedTuple):
    """The agreement of two raters.

    What cannot be told is NaN: all values if there is nothing to compare, chance-corrected ones if all ratings are the same.
    """

    percent: float
    """0 to 100: the share of equal ratings."""
    kappa: Interval
    """Cohen's, -1 to 1."""
    alpha: Interval
    """Krippendorff's, at most 1; 0 is chance."""


def agreement_of_two(own: np.ndarray, other: np.ndarray, clusters: np.ndarray, level: Level, confidence: float = 0.95) -> Agreed:
    """How far two raters of the same answers agree, with the intervals of the jackknife over clusters of questions.

    With many clusters, as many at a time are left out as make a hundred parts (Kott 2001). Where nearly all ratings are the same,
    kappa and alpha hang on a few others, and intervals are too narrow while these are rare.

    Args:
        own, other: (answers,), the ratings, on one scale.
        clusters: (answers,), the label of each answer's cluster.
        level: what the distance between ratings means.
    """
    values = np.unique(np.concatenate([own, other]))
    codes = [np.searchsorted(values, ratings) for ratings in (own, other)]
    distances = distances_of(values, level)

    def kappa(rows: np.ndarray) -> float:
        return cohens_kappa(contingency(codes[0][rows], codes[1][rows], len(values)), distances)

    def alpha(rows: np.ndarray) -> float:
        return krippendorffs_alpha(np.stack([own[rows], other[rows]]), level)

    if not len(own):
        nothing = interval(math.nan, math.nan, 0)
        return Agreed(math.nan, nothing, nothing)
    # Where nearly all ratings are the same, the few others decide: only their clusters tell about the error.
    usual = values[np.argmax(np.bincount(np.concatenate(codes)))]
    telling = len(np.unique(clusters[(own != usual) | (other != usual)]))
    found = [_delete_parts(statistic, clusters, telling, confidence) for statistic in (kappa, alpha)]
    return Agreed(100 * float((own == other).mean()), *found)


def _delete_parts(statistic: Callable[[np.ndarray], float], clusters: np.ndarray, telling: int, confidence: float) -> Interval:
    """The interval of a statistic of rows, by the jackknife.

    Args:
        telling: how many clusters decide on the statistic.
    """
    labels, place = np.unique(clusters, return_inverse=True)
    k, everything = len(labels), np.arange(len(clusters))
    value = statistic(everything)
    parts = place % MOST_PARTS
    without = np.array([statistic(everything[parts != part]) for part in range(min(k, MOST_PARTS))])
    m = len(without)
    error = math.sqrt((m - 1) / m * float(((without - without.mean()) ** 2).sum())) if m > 1 else math.nan
    # Raters that never differ show no error at all.
    is_known = error > 0 and telling >= LEAST_TELLING
    found = interval(value, error if is_known else math.nan, k, confidence, freedom=min(m, telling) - 1)
    return found._replace(low=max(found.low, -1.0), high=min(found.high, 1.0)) if math.isfinite(found.low) else found


def krippendorffs_alpha(ratings: np.ndarray, level: Level) -> float:
    """Krippendorff's alpha (Krippendorff 2018, Content Analysis, chapter 12), by the package `krippendorff`.

    NaN if all ratings are the same.

    Args:
        ratings: (raters, answers), NaN where one is missing.
    """
    if len(np.unique(ratings[np.isfinite(ratings)])) < 2:
        return math.nan
    import krippendorff

    return float(krippendorff.alpha(reliability_data=ratings, level_of_measurement=level))


def cohens_kappa(table: np.ndarray, distances: np.ndarray) -> float:
    """Cohen's kappa (1960), weighted (1968): 1 minus the ratio of two raters' mean distance to the mean distance by chance.

    NaN if chance alone would let them agree.

    Args:
        table: how often the one rater gives a value where the other gives another.
        distances: between these values.
    """
    # The weights of scikit-learn are distances between places: for `interval` they are wrong if ratings are not evenly spaced.
    by_chance = float(table.sum(1) @ distances @ table.sum(0))
    return 1 - float(table.sum() * (table * distances).sum()) / by_chance if by_chance else math.nan


def contingency(own: np.ndarray, other: np.ndarray, size: int) -> np.ndarray:
    """How often the one rater gives a value where the other gives another, both as integers from 0."""
    return np.bincount(own * size + other, minlength=size**2).reshape(size, size)


def distances_of(values: np.ndarray, level: Level) -> np.ndarray:
    """The distance of ratings. Nominal: equal or not. Else squared; ordinal ratings count by place.

    Args:
        values: all that occur, in ascending order.
    """
    on_scale = values if level == "interval" else np.arange(len(values))
    apart = np.subtract.outer(on_scale, on_scale).astype(float)
    return (apart != 0).astype(float) if level == "nominal" else apart**2
