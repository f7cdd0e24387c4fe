"""Functions of sums, with the error of the jackknife over clusters of questions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

LEAST_CLUSTERS = 5
"""With fewer clusters, nothing is said about the error."""


class Interval(NamedTuple):
    """An estimate and how sure it is. What cannot be told is NaN."""

    value: float
    low: float
    high: float
    standard_error: float
    clusters: int


Value = Callable[[np.ndarray], np.ndarray]
"""A statistic for each row of sums: (n, sums) -> (n,)."""


def sums_by_cluster(columns: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """The sums of the rows of each cluster, in the order of the clusters' labels: (clusters, columns).

    Args:
        columns: (rows, columns).
        clusters: the label of each row.
    """
    _, place = np.unique(clusters, return_inverse=True)
    return np.column_stack([np.bincount(place, column) for column in columns.T])


def jackknife(sums: np.ndarray, value: Value, level: float = 0.95, is_correlation: bool = False) -> Interval:
    """A smooth function of sums over clusters, with the interval of the delete-one-cluster jackknife and Student's t.

    The error is that of Efron & Stein (1981), which is rather too large than too small, also with few clusters (for regressions,
    it is the estimate CR3 of Bell & McCaffrey 2002). Correlations have their interval on Fisher's scale (1921), arctanh, where
    errors hardly depend on the value.

    Args:
        sums: (clusters, sums), as `sums_by_cluster` gives them.
        is_correlation: whether the value lies between -1 and 1, and is 0 where there is no relation.
    """
    total, k = sums.sum(0), len(sums)
    with np.errstate(all="ignore"):
        found, without = float(value(total[None])[0]), value(total - sums)
        scaled = np.arctanh(without) if is_correlation else without
        error = math.sqrt((k - 1) / max(k, 1) * float(((scaled - scaled.mean()) ** 2).sum())) if k else math.nan
    return interval(found, error, k, level=level, is_correlation=is_correlation)


def interval(
    value: float, error: float, clusters: int, level: float = 0.95, freedom: float | None = None, is_correlation: bool = False
) -> Interval:
    """The interval of Student's t around an estimate.

    There is none with fewer than `LEAST_CLUSTERS`, nor around a correlation of 1 or -1: such data show no error at all.

    Args:
        error: of the value; of a correlation, on Fisher's scale.
        freedom: degrees of freedom, by default one less than there are clusters.
    """
    is_known = math.isfinite(value) and math.isfinite(error) and clusters >= LEAST_CLUSTERS
    if not is_known or (is_correlation and abs(value) >= 1 - 1e-12):
        return Interval(value, math.nan, math.nan, math.nan, clusters)
    reach = error * float(stats.t.ppf((1 + level) / 2, freedom or clusters - 1))
    if not is_correlation:
        return Interval(value, value - reach, value + reach, error, clusters)
    centre = math.atanh(value)
    return Interval(value, math.tanh(centre - reach), math.tanh(centre + reach), error * (1 - value**2), clusters)
