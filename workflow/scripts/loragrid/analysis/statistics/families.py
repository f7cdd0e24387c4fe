"""Verdicts that hold together, however many there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr
from scipy.stats import false_discovery_control

from loragrid.analysis.statistics.results import Estimate

DRAWS = 20_000
"""Of the joint distribution; a simultaneous 5 % is then between 4.7 % and 5.3 %."""

DRAWS_AT_ONCE = 1_000

LEAST_REST = 1e-4
"""What an estimate has for itself below this, in standard errors, is a rounding error."""


class Simultaneous(NamedTuple):
    """What estimates need so that verdicts on them hold together."""

    level: float
    """Of each interval."""
    p_values: np.ndarray
    """Adjusted: at most alpha where the interval of the level excludes 0."""


def simultaneous(estimates: Sequence[Estimate], alpha: float = 0.05) -> Simultaneous:
    """Level and p-values of one family, as `simultaneous_level` and `simultaneous_p_values` give them."""
    smallest = _smallest_p_values(estimates)
    return Simultaneous(_level(smallest, alpha), _adjusted(estimates, smallest))


def simultaneous_level(estimates: Sequence[Estimate], alpha: float = 0.05) -> float:
    """The level that each interval needs so that all hold together with probability 1 - alpha.

    The max-T method (Hothorn, Bretz & Westfall 2008): the quantile of the largest of all standardised errors, under a normal
    copula with the correlations that come from shared clusters of questions. Each estimate keeps its own degrees of freedom.
    Errors that come from seeds are taken for independent, which is the careful side (Šidák 1967). Estimates without an error
    do not count.
    """
    return _level(_smallest_p_values(estimates), alpha)


def _level(smallest: np.ndarray | None, alpha: float) -> float:
    return 1 - alpha if smallest is None else 1 - float(np.quantile(smallest, alpha, method="lower"))


def simultaneous_p_values(estimates: Sequence[Estimate]) -> np.ndarray:
    """P-values adjusted for being many: at most alpha where the interval of the simultaneous level excludes 0."""
    return _adjusted(estimates, _smallest_p_values(estimates))


def _adjusted(estimates: Sequence[Estimate], smallest: np.ndarray | None) -> np.ndarray:
    p_values = np.array([estimate.p_value for estimate in estimates], dtype=float)
    if smallest is None:
        return p_values
    adjusted = np.searchsorted(smallest, p_values, side="right") / len(smallest)
    return np.where(np.isnan(p_values), np.nan, np.maximum(adjusted, p_values))


def _smallest_p_values(estimates: Sequence[Estimate]) -> np.ndarray | None:
    """Draws of the smallest p-value where no supposed value is wrong, in ascending order; None for less than two estimates."""
    counted = [estimate for estimate in estimates if math.isfinite(estimate.standard_error) and estimate.clusters > 1]
    if len(counted) < 2:
        return None
    loadings, rest = (part.astype(np.float32) for part in _loadings(counted))
    rng = np.random.default_rng(0)
    largest = np.empty(DRAWS)
    for start in range(0, DRAWS, DRAWS_AT_ONCE):
        errors = rng.standard_normal((DRAWS_AT_ONCE, loadings.shape[1]), dtype=np.float32) @ loadings.T
        if rest.max() > LEAST_REST:
            own = rng.standard_normal((DRAWS_AT_ONCE, len(rest)), dtype=np.float32)
            errors += np.multiply(own, rest, out=own)
        largest[start : start + DRAWS_AT_ONCE] = np.maximum(errors.max(axis=1), -errors.min(axis=1))
    return np.sort(2 * ndtr(-largest))


def _loadings(estimates: Sequence[Estimate]) -> tuple[np.ndarray, np.ndarray]:
    """Standardised errors are a matrix times independent errors, and what each has for itself, a standard deviation."""
    labels = np.unique(np.concatenate([estimate.influence.labels for estimate in estimates]))
    loadings = np.zeros((len(estimates), len(labels)))
    for row, estimate in zip(loadings, estimates, strict=True):
        contributions = estimate.influence.contributions
        error = max(estimate.standard_error, float(np.linalg.norm(contributions)))
        row[np.searchsorted(labels, estimate.influence.labels)] = contributions / error if error > 0 else 0.0
    rest = np.sqrt(np.clip(1 - (loadings**2).sum(axis=1), 0, 1))
    if len(labels) <= len(estimates):
        # Independent errors of the clusters are few enough. What follows takes time and memory by powers of the estimates.
        return loadings, rest
    values, vectors = np.linalg.eigh(loadings @ loadings.T)
    counted = values > 1e-10
    loadings = vectors[:, counted] * np.sqrt(values[counted])
    return loadings, rest


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values adjusted so that false alarms among all of them together are as rare as in one (Holm 1979).

    NaN stays NaN and does not count.
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given, kind="stable")[: np.count_nonzero(~np.isnan(given))]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(given), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(given[order] * factors))
    return adjusted


def benjamini_hochberg(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values adjusted so that few of those that are called differences are none (Benjamini & Hochberg 1995).

    NaN stays NaN and does not count.
    """
    given = np.asarray(p_values, dtype=float)
    counted = ~np.isnan(given)
    adjusted = np.full(len(given), np.nan)
    if counted.any():
        adjusted[counted] = false_discovery_control(given[counted])
    return adjusted
