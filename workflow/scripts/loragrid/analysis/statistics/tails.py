"""P-values and quantiles where the variance is a sum of two that are known from little: of clusters and of training seeds."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr, ndtri, stdtr, stdtrit

from loragrid.analysis.statistics.results import Parts

NODES = 48
REACH = 3.0
"""Of the nodes, which go down to a probability of 2e-14."""

CLOSE = 1e-10

TINY = 1e-100
"""A variance below this is 0."""

LEAST = 1e-18
"""Of a variance that may be, over the estimated one."""

ROUNDS = 12
"""Of false positions, at most."""

NEAR = 1e-3
"""A p-value is met if it is off by less than this share."""


def p_value(distance: np.ndarray | float, parts: Parts[np.ndarray] | Parts[float]) -> np.ndarray:
    """The two-sided p-value of an estimate so many standard errors away from what is supposed.

    With one seed it is Student's. With several it is the mean, over what the variance may be after it was seen, of the p-value
    for each (a generalised p-value: Tsui & Weerahandi 1989; Weerahandi 1993). What is seen between seeds, over its true value, is
    chi-square over its degrees of freedom, so that `between` over such numbers is what the true value may be. It holds the
    interaction of seeds with questions, which is taken off what clusters show. The degrees of freedom of the sum are
    Satterthwaite's (1946), with the seeds' part known.

    By itself this claims too little where neither part prevails (as Behrens' and Fisher's solution does): by the first order of
    Welch's (1947) series, as if the variance were larger by 2 / f times the product of both parts over their sum. That is taken
    off too. It errs on the wide side then, the less the more seeds there are, and at every level.

    Args:
        distance: from what is supposed, in standard errors
    """
    if not np.any(parts.freedom_of_seeds):
        return np.asarray(2 * stdtr(parts.freedom, -np.abs(distance)))
    ratios, freedoms = _possible(parts)
    far = np.abs(np.asarray(distance))[..., None] / ratios
    return np.asarray(2 * (stdtr(freedoms, -far) @ _nodes()[1]))


@lru_cache(65536)
def quantile(parts: Parts[float], level: float) -> float:
    """How many standard errors have the p-value 1 - level: that of Student's t with one seed."""
    if not parts.freedom_of_seeds:
        return float(-stdtrit(parts.freedom, (1 - level) / 2))
    ratios, freedoms = _possible(parts)
    weights, target = _nodes()[1], np.log(1 - level)

    def beyond(log_distance: float) -> float:
        return float(np.log(max(2 * stdtr(freedoms, -np.exp(log_distance) / ratios) @ weights, 1e-300)) - target)

    low = float(np.log(-ndtri((1 - level) / 2) * ratios.min())) - CLOSE
    step = 0.2
    while beyond(low + step) > 0:
        low, step = low + step, 2 * step
    return float(np.exp(brentq(beyond, low, low + step, xtol=CLOSE, rtol=CLOSE)))


def quantiles(parts: Parts[np.ndarray], level: float) -> np.ndarray:
    """`quantile` of many, but for some hundredths: with half of the nodes and Wallace's (1959) normal variable."""
    ratios, freedoms = (of_nodes[:, ::2] for of_nodes in _possible(parts))
    scale = (8 * freedoms + 1) / (8 * freedoms + 3)
    weights, target = 2 * _nodes()[1][::2], np.log(1 - level)

    def beyond(log_distance: np.ndarray) -> np.ndarray:
        far = np.exp(log_distance)[:, None] / ratios
        p_values = 2 * ndtr(-scale * np.sqrt(freedoms * np.log1p(far**2 / freedoms))) @ weights
        return np.asarray(np.log(np.maximum(p_values, 1e-300)) - target)

    low = np.log(-ndtri((1 - level) / 2) * ratios.min(axis=-1))
    high, step, above = low, 0.5, beyond(low)
    below = above
    while np.any(below > 0):
        high, step = high + step, 2 * step
        below = beyond(high)
    was_low = np.full(low.shape, -1)
    for _ in range(ROUNDS):  # false position with halving: the Illinois method (Dowell & Jarratt 1971)
        middle = (low * below - high * above) / np.where(below == above, 1.0, below - above)
        found = beyond(middle)
        if np.abs(found).max() < NEAR:
            break
        is_low = found > 0
        above = np.where(is_low, found, np.where(was_low == 0, above / 2, above))
        below = np.where(is_low, np.where(was_low == 1, below / 2, below), found)
        low, high, was_low = np.where(is_low, middle, low), np.where(is_low, high, middle), is_low.astype(int)
    return np.asarray(np.exp(middle))


def _possible(parts: Parts[np.ndarray] | Parts[float]) -> tuple[np.ndarray, np.ndarray]:
    """For each node the standard error over the estimated one, and its degrees of freedom: (..., nodes) each."""
    of_clusters, freedom, between, interaction, freedom_of_seeds = (np.asarray(part)[..., None] for part in parts)
    variance = np.asarray(variance_of(parts))[..., None]
    of_seeds = between / chi_squares(parts.freedom_of_seeds)
    apart = np.maximum(of_clusters - interaction, 0.0)
    both = of_seeds * apart / np.maximum(of_seeds + apart, TINY)
    possible = of_seeds + apart - 2 / freedom_of_seeds * both
    known = variance > TINY
    ratios = np.sqrt(np.maximum(np.where(known, possible, 1.0) / np.where(known, variance, 1.0), LEAST))
    shares = np.minimum(of_clusters / np.maximum(possible, TINY), 1.0)
    return ratios, freedom / np.maximum(shares, 1e-3) ** 2


def variance_of(parts: Parts[np.ndarray] | Parts[float]) -> np.ndarray:
    """The estimated variance: that of clusters, and what is seen between seeds less the interaction that both hold."""
    return np.asarray(parts.of_clusters + np.maximum(np.asarray(parts.between) - parts.interaction, 0.0))


def freedom_of_sum(parts: Parts[np.ndarray] | Parts[float]) -> np.ndarray:
    """Degrees of freedom of the estimated variance (Satterthwaite 1946)."""
    variance = variance_of(parts)
    seeded = np.asarray(parts.freedom_of_seeds) > 0
    of_seeds = np.where(variance > parts.of_clusters, parts.between, 0.0) ** 2 / np.where(seeded, parts.freedom_of_seeds, 1.0)
    doubt = np.asarray(parts.of_clusters) ** 2 / parts.freedom + of_seeds
    return np.asarray(np.where(doubt > 0, variance**2 / np.where(doubt > 0, doubt, 1.0), parts.freedom))


def chi_squares(freedom: np.ndarray | float) -> np.ndarray:
    """Chi-square over its degrees of freedom, at the nodes: (..., nodes)."""
    freedoms = np.atleast_1d(freedom)
    if np.all(freedoms == freedoms.flat[0]):
        return _chi_squares(float(freedoms.flat[0]))
    return np.asarray(2 * gammaincinv(freedoms[..., None] / 2, _nodes()[0]) / freedoms[..., None])


@lru_cache(1024)
def _chi_squares(freedom: float) -> np.ndarray:
    return np.asarray(2 * gammaincinv(freedom / 2, _nodes()[0]) / freedom)


@lru_cache(1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and weights of the double exponential quadrature (Takahasi & Mori 1974), which goes far into the tails."""
    steps = np.linspace(-REACH, REACH, NODES)
    places = np.pi / 2 * np.sinh(steps)
    weights = np.cosh(steps) / np.cosh(places) ** 2
    return 1 / (1 + np.exp(-2 * places)), weights / weights.sum()
