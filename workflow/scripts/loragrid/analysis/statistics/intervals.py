"""The mean of one way and the difference of two, with intervals that include the choice of questions and of training seeds."""

from __future__ import annotations

import math

import numpy as np

from loragrid.analysis.statistics.clusters import Groups, groups_of, totals
from loragrid.analysis.statistics.jackknife import as_results, value_of
from loragrid.analysis.statistics.proportions import (
    flipped_signs,
    interval_of_mean,
    score_of_difference,
    score_of_mean,
    tango,
)
from loragrid.analysis.statistics.results import Estimate, Influence, Number, Parts, Results, Shape, Sums
from loragrid.analysis.statistics.tails import freedom_of_sum, p_value, quantile, variance_of
from loragrid.analysis.statistics.variances import NOTHING, Spread, spread_of

NAN = float("nan")
LIMITLESS = (-math.inf, math.inf)
HUGE = 1e300

LARGEST_EXPONENT = 1.5
"""Between that of proportions, 1, and that of values whose logit is normal, 2."""


def mean_of(results: Results | Sums, level: float = 0.95) -> Estimate:
    """The mean over questions and seeds, with its interval.

    Bounded metrics have Wilson's score interval with the effective number of questions, others that of Student's t; the
    variance comes from clusters of questions crossed with seeds (`spread_of`).
    """
    one = as_results(results)
    groups = groups_of(one.clusters)
    spread, shape = measure_mean(one.values[None], groups, one.bounds, value_of(results))
    return at_level(estimate_at(0, spread, shape, groups, nb_questions(results), len(one.values), one.sampling), level)


def difference_of(own: Results | Sums, other: Results | Sums, level: float = 0.95, matched_seeds: bool = False) -> Estimate:
    """One way minus another on the same questions in the same order, with its interval.

    Bounded metrics have Tango's score interval with the effective number of questions, others that of Student's t. No
    difference is claimed that the exact test by signs of clusters (McNemar's, for answers that are right or wrong) does not
    see too.

    Args:
        other: may have one row (a base model).
        matched_seeds: the rows of both belong together: the same seeds, which may share their effects.
    """
    first, second = as_results(own), as_results(other)
    groups = groups_of(first.clusters)
    value = value_of(own) - value_of(other)
    spread, shape = measure_difference(first.values[None], second.values[None], groups, first.bounds, matched_seeds, value)
    exact = flipped_signs(totals(first.values.mean(axis=0) - second.values.mean(axis=0), groups))
    seeds = max(len(first.values), len(second.values))
    estimate = estimate_at(0, spread, shape, groups, nb_questions(own), seeds, first.sampling + second.sampling)
    estimate = estimate._replace(shape=estimate.shape._replace(exact=exact))
    return at_level(estimate._replace(p_value=p_value_at(estimate, 0.0)), level)


def at_level(estimate: Estimate, level: float) -> Estimate:
    """The same estimate with an interval of another level."""
    low, high = interval_of(estimate.shape, level)
    return estimate._replace(low=low, high=high)


def p_value_at(estimate: Estimate, supposed: float) -> float:
    """The two-sided p-value of a supposed value: below 1 - level exactly if the value is outside the interval of that level."""
    shape = estimate.shape
    of_score = float(p_value(distance(shape, supposed), shape.parts))
    return max(of_score, shape.exact) if supposed == 0 else of_score


def distance(shape: Shape[Number], supposed: float) -> Number:
    """How many standard errors the estimate lies above a supposed value."""
    lowest, highest = shape.bounds
    if shape.kind == "t":
        # Without any spread nothing is known about the error.
        in_errors: Number = (shape.value - supposed) / (shape.error + (shape.error < NOTHING) * HUGE)
        return in_errors
    if shape.kind == "wilson":
        share = (supposed - lowest) / (highest - lowest)
        inside = min(max(share, 1e-12), 1 - 1e-12)
        return score_of_mean((shape.value - lowest) / (highest - lowest), shape.size, shape.exponent, inside)
    return score_of_difference(shape.gains, shape.losses, shape.size, supposed / (highest - lowest))


def interval_of(shape: Shape[float], level: float) -> tuple[float, float]:
    """The interval of a level: all values that are not rejected. NaN where there is only one cluster."""
    if math.isnan(shape.error) or math.isnan(shape.value):
        return NAN, NAN
    distant = quantile(shape.parts, level)
    lowest, highest = shape.bounds
    unit = highest - lowest
    if shape.kind == "t":
        if shape.error <= NOTHING:
            return -math.inf, math.inf
        half = distant * shape.error
        low, high = max(shape.value - half, lowest), min(shape.value + half, highest)
    elif shape.kind == "wilson":
        below, above = interval_of_mean((shape.value - lowest) / unit, shape.size, shape.exponent, distant)
        low, high = lowest + unit * below, lowest + unit * above
    else:
        below, above = tango(shape.gains, shape.losses, shape.size, distant)
        low, high = unit * below, unit * above
    return (min(low, 0.0), max(high, 0.0)) if shape.exact >= 1 - level else (low, high)


def measure_mean(
    values: np.ndarray, groups: Groups, bounds: tuple[float, float] | None, value: float | None = None
) -> tuple[Spread, Shape[np.ndarray]]:
    """What a mean's error consists of, and what intervals follow from, for many sets of results alike.

    Args:
        values: (..., seeds, questions)
        value: of the mean, if it is not that of the values
    """
    mean = values.mean(axis=(-1, -2)) if value is None else np.full(values.shape[:-2], value)
    spread = spread_of(values.mean(axis=-2), [values], values, groups, values.shape[-2])
    variance = variance_of(spread.parts)
    error = np.sqrt(variance)
    none = np.zeros_like(mean)
    if not bounds or not np.all(np.isfinite(bounds)):
        return spread, Shape("t", LIMITLESS, mean, error, spread.parts, none, none, none, none, none)
    lowest, highest = bounds
    share = (mean - lowest) / (highest - lowest)
    of_one = np.maximum(share * (1 - share), 0.0) * (highest - lowest) ** 2
    size = effective_size(of_one, variance, groups)
    exponent = np.clip(2 * of_one / np.maximum(of_one + spread.of_answer, 1e-300), 1.0, LARGEST_EXPONENT)
    return spread, Shape("wilson", bounds, mean, error, spread.parts, size, exponent, none, none, none)


def measure_difference(
    own: np.ndarray,
    other: np.ndarray,
    groups: Groups,
    bounds: tuple[float, float] | None,
    matched_seeds: bool = False,
    value: float | np.ndarray | None = None,
) -> tuple[Spread, Shape[np.ndarray]]:
    """What a difference's error consists of, and what intervals follow from, for many pairs of ways alike.

    Args:
        own: (..., seeds, questions), as is `other`
        value: of the differences, if it is not that of the values
    """
    if matched_seeds:
        pairs = own - other
        sides = [pairs]
    else:
        pairs = (own[..., :, None, :] - other[..., None, :, :]).reshape(*own.shape[:-2], -1, own.shape[-1])
        sides = [own, other]
    of_questions = own.mean(axis=-2) - other.mean(axis=-2)
    spread = spread_of(of_questions, sides, pairs, groups, max(own.shape[-2], other.shape[-2]))
    difference = of_questions.mean(axis=-1) if value is None else np.full(own.shape[:-2], value)
    variance = variance_of(spread.parts)
    error = np.sqrt(variance)
    none = np.zeros_like(difference)
    if not bounds or not np.all(np.isfinite(bounds)):
        return spread, Shape("t", LIMITLESS, difference, error, spread.parts, none, none, none, none, none)
    unit = bounds[1] - bounds[0]
    share = difference / unit
    # The jackknife's pseudo-values may lie outside of the bounds, and their mean beside the difference.
    losses = np.clip(np.maximum(-pairs, 0).mean(axis=(-1, -2)) / unit, np.maximum(-share, 0), (1 - share) / 2)
    gains = share + losses
    of_one = np.maximum(gains + losses - share**2, 0.0) * unit**2
    size = effective_size(of_one, variance, groups)
    return spread, Shape("tango", bounds, difference, error, spread.parts, size, none, gains, losses, none)


def effective_size(of_one: np.ndarray, variance: np.ndarray, groups: Groups) -> np.ndarray:
    """How many independent right and wrong answers, each with variance `of_one`, would have the variance that was found.

    Without any spread, each cluster counts once (Korn & Graubard 1998).
    """
    seen = variance > 1e-12 * of_one
    return np.where(seen & (of_one > 0), of_one / np.where(seen, np.maximum(variance, 1e-300), 1.0), float(len(groups.labels)))


METHODS = {
    "t": "Student's t",
    "wilson": "score interval of a mean (Wilson)",
    "tango": "score interval of paired answers (Tango)",
}


def nb_questions(results: Results | Sums) -> int:
    return int((results.values if isinstance(results, Results) else results.counts).shape[1])


def estimate_at(
    place: int, spread: Spread, shape: Shape[np.ndarray], groups: Groups, questions: int, seeds: int, sampling: float = NAN
) -> Estimate:
    """One of the estimates that were measured alike, without interval and p-value. From a single cluster it has no error."""
    numbers = {name: float(of_all[place]) for name, of_all in shape._asdict().items() if isinstance(of_all, np.ndarray)}
    parts = Parts(*(float(part[place]) for part in shape.parts))
    single = Shape(kind=shape.kind, bounds=shape.bounds, parts=parts, **numbers)
    return Estimate(
        value=single.value,
        low=NAN,
        high=NAN,
        standard_error=single.error,
        freedom=float(freedom_of_sum(parts)),
        p_value=NAN,
        questions=questions,
        clusters=len(groups.labels),
        seeds=seeds,
        of_questions=float(spread.of_questions[place]),
        of_seeds=float(spread.of_seeds[place]),
        of_both=float(spread.of_both[place]),
        of_samples=sampling,
        freedom_of_seeds=spread.freedom_of_seeds,
        method=METHODS[shape.kind],
        influence=Influence(groups.labels, spread.contributions[place]),
        shape=single,
    )
