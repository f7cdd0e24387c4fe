"""Intervals and tests of bounded values: right or wrong, shares, and differences of them."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr

from loragrid.analysis.statistics.results import Number

LARGEST_ENUMERATED = 12
"""So many signs are flipped in every combination; with more, the distribution is close enough to that of t."""

TINY = 1e-300


def score_of_mean(mean: Number, size: Number, exponent: Number, supposed: float) -> Number:
    """How many standard errors a mean lies above a supposed one: Wilson's score (1927), for any bounded values.

    The variance depends on the mean, as [mean (1 - mean)] ** exponent: 1 for right and wrong answers.

    Args:
        mean: 0 to 1
        size: how many independent right and wrong answers have the error that the mean has
        supposed: 0 to 1, excluded
    """
    of_supposed = supposed * (1 - supposed)
    ratio = of_supposed / (mean * (1 - mean) + TINY)
    in_errors: Number = (mean - supposed) / (of_supposed * ratio ** (exponent - 1) / size) ** 0.5
    return in_errors


def wilson(mean: float, size: float, quantile: float) -> tuple[float, float]:
    """The score interval of a proportion (Wilson 1927), of effective size (Korn & Graubard 1998) where answers are alike.

    Args:
        mean: 0 to 1
        quantile: of the normal distribution, or of t
    """
    squared = quantile**2 / size
    centre = (mean + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (mean * (1 - mean) + squared / 4)) / (1 + squared)
    return max(0.0, centre - half), min(1.0, centre + half)


def interval_of_mean(mean: float, size: float, exponent: float, quantile: float) -> tuple[float, float]:
    """What `score_of_mean` does not reject; Wilson's interval for exponent 1."""
    if exponent < 1 + 1e-9:
        return wilson(mean, size, quantile)

    def beyond(supposed: float) -> float:
        return abs(score_of_mean(mean, size, exponent, supposed)) - quantile

    low = brentq(beyond, 1e-12, mean, xtol=1e-12) if mean > 1e-12 and beyond(1e-12) > 0 else 0.0
    high = brentq(beyond, mean, 1 - 1e-12, xtol=1e-12) if mean < 1 - 1e-12 and beyond(1 - 1e-12) > 0 else 1.0
    return low, high


def score_of_difference(gains: Number, losses: Number, size: Number, supposed: float) -> Number:
    """How many standard errors the difference of paired proportions lies above a supposed one (Tango 1998).

    The standard error is the one that the most likely proportions have under the supposed difference.

    Args:
        gains: the share of pairs of which only the first is right; fractions of answers count as such
        losses: the share of pairs of which only the second is right
        size: the (effective) number of pairs
        supposed: -1 to 1
    """
    linear = (2 - gains + losses) * supposed - gains - losses
    root = abs(linear**2 + 8 * losses * supposed * (1 - supposed)) ** 0.5
    variance = (root - linear) / 2 + supposed * (1 - supposed)
    in_errors: Number = (gains - losses - supposed) / (abs(variance) / size + TINY) ** 0.5
    return in_errors


def tango(gains: float, losses: float, size: float, quantile: float) -> tuple[float, float]:
    """The score interval of a difference of paired proportions (Tango 1998): what `score_of_difference` does not reject."""
    value = gains - losses

    def beyond(supposed: float) -> float:
        return abs(score_of_difference(gains, losses, size, supposed)) - quantile

    low = brentq(beyond, -1.0, value, xtol=1e-12) if value > -1 and beyond(-1.0) > 0 else -1.0
    high = brentq(beyond, value, 1.0, xtol=1e-12) if value < 1 and beyond(1.0) > 0 else 1.0
    return low, high


def mcnemar(better: int, worse: int) -> float:
    """The exact two-sided p-value of as many pairs better as worse (McNemar 1947, by the binomial distribution)."""
    return min(1.0, 2 * float(bdtr(min(better, worse), better + worse, 0.5)))


def flipped_signs(values: np.ndarray) -> float:
    """The exact two-sided p-value of values whose signs are by chance alone (Fisher 1935): McNemar's test for any differences.

    Zeros do not count. 0 if there are more values than are enumerated, which differ in size.
    """
    sizes = np.abs(values)
    sizes, values = sizes[sizes > 1e-12], values[sizes > 1e-12]
    if not len(sizes):
        return 1.0
    if np.ptp(sizes) < 1e-9 * sizes[0]:
        better = int((values > 0).sum())
        return mcnemar(better, len(values) - better)
    if len(sizes) > LARGEST_ENUMERATED:
        return 0.0
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums + size, sums - size])
    return float((np.abs(sums) >= abs(values.sum()) * (1 - 1e-9)).mean())
