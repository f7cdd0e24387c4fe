"""The difference of two ways, had their answers been of the same length."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from loragrid.analysis.statistics.cluster_jackknife import Interval, interval, jackknife, sums_by_cluster


class AtEqualLength(NamedTuple):
    """The difference of two ways, as it is and at equal length. What cannot be told is NaN."""

    difference: Interval
    at_equal_length: Interval
    slope: float
    """What an answer that is longer by one standard deviation would have more of the score, nearly."""
    longer: float
    """The share of questions to which the first way's answer is longer, 0 to 1. At 0 and at 1, equal length was never seen."""


def at_equal_length(differences: np.ndarray, more: np.ndarray, clusters: np.ndarray, level: float = 0.95) -> AtEqualLength:
    """A regression of the difference in scores on the difference in lengths, at its intercept.

    Lengths enter as in length-controlled win rates (Dubois et al. 2024, arXiv:2404.04475): the hyperbolic tangent of the
    difference over its root mean square, so that very long answers count little more than long ones. There the score is a
    preference and the regression logistic; here it is any score, and linear. Errors are the jackknife's over clusters of
    questions.

    Args:
        differences: (questions,), of the scores of two ways.
        more: (questions,), how much longer the first way's answers are.
        clusters: (questions,), the label of each question's cluster.
    """
    has_both = np.isfinite(differences) & np.isfinite(more)
    differences, more, clusters = differences[has_both], more[has_both].astype(float), clusters[has_both]
    if not len(differences):
        nothing = interval(math.nan, math.nan, 0)
        return AtEqualLength(nothing, nothing, math.nan, math.nan)
    unit = float(np.sqrt((more**2).mean()))
    x = np.tanh(more / unit) if unit else more
    shift = float(differences.mean())
    y = differences - shift
    sums = sums_by_cluster(np.column_stack([np.ones(len(y)), x, x * x, y, x * y]), clusters)
    plain = jackknife(sums, lambda of: of[:, 3] / of[:, 0], level)
    # Without any difference in length, the difference is at equal length.
    at_equal = _regressed(sums, x, clusters, level) if np.ptp(x) else (interval(math.nan, math.nan, len(sums)) if unit else plain)
    slope = float(_slope(sums.sum(0)[None])[0]) if np.ptp(x) else math.nan
    return AtEqualLength(_shifted(plain, shift), _shifted(at_equal, shift), slope, float((more > 0).mean()))


def _regressed(sums: np.ndarray, x: np.ndarray, clusters: np.ndarray, level: float) -> Interval:
    """The intercept. If few answers tell about equal length, few degrees of freedom are left (Bell & McCaffrey 2002)."""
    found = jackknife(sums, _intercept, level)
    weights = (x**2).mean() - x * x.mean()
    of_clusters = sums_by_cluster(weights[:, None] ** 2, clusters)
    freedom = float(of_clusters.sum() ** 2 / (of_clusters**2).sum()) - 1
    return interval(found.value, found.standard_error, found.clusters, level, freedom=max(freedom, 1.0))


def _slope(sums: np.ndarray) -> np.ndarray:
    n, x, xx, y, xy = sums.T
    return np.asarray((n * xy - x * y) / (n * xx - x * x))


def _intercept(sums: np.ndarray) -> np.ndarray:
    return np.asarray((sums[:, 3] - _slope(sums) * sums[:, 1]) / sums[:, 0])


def _shifted(one: Interval, by: float) -> Interval:
    # No difference on any question shows no error at all.
    known = one if one.standard_error > 0 else interval(one.value, math.nan, one.clusters)
    return known._replace(value=known.value + by, low=known.low + by, high=known.high + by)
