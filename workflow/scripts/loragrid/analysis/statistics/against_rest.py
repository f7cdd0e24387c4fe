"""How far a part of the questions differs from the rest, for one way."""

from __future__ import annotations

import math

import numpy as np

from loragrid.analysis.statistics.clusters import groups_of
from loragrid.analysis.statistics.intervals import LIMITLESS, at_level, estimate_at, measure_mean, p_value_at
from loragrid.analysis.statistics.pooling import pooled
from loragrid.analysis.statistics.results import Estimate, Results, Shape
from loragrid.analysis.statistics.tails import variance_of


def against_rest(part: Results, rest: Results, whole: Results, level: float = 0.95) -> Estimate:
    """The mean over a part of the questions minus that over the rest, by Welch's t (1947).

    The error is at least that of a part of its size if it did not differ (the score test): a few answers that are all right show
    no spread, and would seem sure. Clusters that reach into both count once. The claim is about the mean over these trainings.

    Args:
        whole: part and rest together.
    """
    part, rest, whole = (one._replace(values=one.values.mean(axis=0, keepdims=True)) for one in (part, rest, whole))
    # The mean of one and of the negative other is half of their difference.
    half = pooled([_unbounded(part.values, part.clusters), _unbounded(-rest.values, rest.clusters)])
    in_part, in_rest = part.values.shape[1], rest.values.shape[1]
    of_one = _unbounded(whole.values, whole.clusters).shape.parts.of_clusters * whole.values.shape[1]
    parts = half.shape.parts
    parts = parts._replace(of_clusters=max(4 * parts.of_clusters, of_one * (1 / in_part + 1 / in_rest)))
    # Nothing is known of the error where either has one cluster.
    error = math.nan if math.isnan(half.standard_error) else math.sqrt(float(variance_of(parts)))
    shape = Shape("t", LIMITLESS, 2 * half.value, error, parts, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = half._replace(value=2 * half.value, standard_error=error, method="Welch's t", shape=shape)
    return at_level(found._replace(p_value=p_value_at(found, 0.0)), level)


def _unbounded(values: np.ndarray, clusters: np.ndarray) -> Estimate:
    """The mean, with its error but no interval."""
    groups = groups_of(clusters)
    spread, shape = measure_mean(values[None], groups, None)
    return estimate_at(0, spread, shape, groups, values.shape[1], len(values))
