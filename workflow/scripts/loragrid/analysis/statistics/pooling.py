"""Means over tasks, and ranks of ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loragrid.analysis.statistics.intervals import at_level, p_value_at
from loragrid.analysis.statistics.results import Estimate, Influence, Parts, Shape
from loragrid.analysis.statistics.tails import freedom_of_sum, variance_of

NAN = float("nan")


class RankInterval(NamedTuple):
    """The ranks that a way may have; 1 is the best."""

    best: int
    worst: int


def mean_over_tasks(estimates: Sequence[Estimate], level: float = 0.95) -> Estimate:
    """The mean of estimates of several tasks, each counting alike: a claim about these tasks, by Student's t.

    Clusters that tasks share count once; errors that come from seeds are independent between tasks, each having its own
    trainings.
    """
    mean = pooled(estimates)
    if not any(math.isnan(estimate.p_value) for estimate in estimates):
        mean = mean._replace(p_value=p_value_at(mean, 0.0))
    return at_level(mean, level)


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """`mean_over_tasks` without interval and p-value."""
    number = len(estimates)
    labels = np.unique(np.concatenate([estimate.influence.labels for estimate in estimates]))
    contributions = np.zeros(len(labels))
    for estimate in estimates:
        contributions[np.searchsorted(labels, estimate.influence.labels)] += estimate.influence.contributions / number
    parts = _of_mean(estimates, contributions)
    error = math.sqrt(float(variance_of(parts)))
    value = sum(estimate.value for estimate in estimates) / number
    return Estimate(
        value=value,
        low=NAN,
        high=NAN,
        standard_error=error,
        freedom=float(freedom_of_sum(parts)),
        p_value=NAN,
        questions=sum(estimate.questions for estimate in estimates),
        clusters=len(labels),
        seeds=min(estimate.seeds for estimate in estimates),
        of_questions=NAN,
        of_seeds=NAN,
        of_both=NAN,
        of_samples=NAN,
        freedom_of_seeds=parts.freedom_of_seeds,
        method="mean over tasks, Student's t",
        influence=Influence(labels, contributions),
        shape=Shape("t", _bounds_of_mean(estimates), value, error, parts, 0.0, 0.0, 0.0, 0.0, 0.0),
    )


def _bounds_of_mean(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """The least and the largest mean of estimates that there can be."""
    bounds = [_bounds_of(estimate.shape) for estimate in estimates]
    lowest, highest = (sum(ends) / len(bounds) for ends in zip(*bounds, strict=True))
    return lowest, highest


def _bounds_of(shape: Shape[float]) -> tuple[float, float]:
    """Of an estimate, which may be a difference."""
    lowest, highest = shape.bounds
    return (lowest - highest, highest - lowest) if shape.kind == "tango" else (lowest, highest)


def _of_mean(estimates: Sequence[Estimate], contributions: np.ndarray) -> Parts[float]:
    """What the variance of a mean of estimates consists of. Degrees of freedom are Satterthwaite's (1946).

    Args:
        contributions: (clusters,): of each cluster to the error of the mean
    """
    number = len(estimates)
    parts = [estimate.shape.parts for estimate in estimates]
    own = sum(one.of_clusters for one in parts)
    shared = float((contributions**2).sum()) * number**2 - sum(
        float((estimate.influence.contributions**2).sum()) for estimate in estimates
    )
    # A task with one cluster of questions has no error that is known, and so has the mean.
    doubt = sum(one.of_clusters**2 / one.freedom if one.freedom else NAN for one in parts)
    seeded = [one for one in parts if one.freedom_of_seeds]
    between = sum(one.between for one in seeded)
    doubt_of_seeds = sum(one.between**2 / one.freedom_of_seeds for one in seeded)
    least = min((one.freedom_of_seeds for one in seeded), default=0.0)
    return Parts(
        max(own + shared, 0.0) / number**2,
        own**2 / doubt if doubt > 0 else min(one.freedom for one in parts),
        between / number**2,
        sum(one.interaction for one in seeded) / number**2,
        max(between**2 / doubt_of_seeds, least) if doubt_of_seeds > 0 else least,
    )


def rank_intervals(nb_ways: int, signs: Mapping[tuple[int, int], int]) -> list[RankInterval]:
    """The ranks that each way may have, all together: as many are better as differ from it to their good (Mohamad et al. 2022).

    Args:
        signs: of way i minus way j, for any i and j: 1 if the simultaneous interval says that i is better, -1 if it says that it
            is worse, else 0.
    """
    better, worse = [0] * nb_ways, [0] * nb_ways
    for (own, other), sign in signs.items():
        if sign > 0:
            worse[own] += 1
            better[other] += 1
        elif sign < 0:
            better[own] += 1
            worse[other] += 1
    return [RankInterval(1 + above, nb_ways - below) for above, below in zip(better, worse, strict=True)]
