"""How large a difference a study can see, and what it needs to see a given one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri, nctdtrinc, ndtr, ndtri, stdtrit

from loragrid.analysis.statistics.results import Estimate, Parts, Shape
from loragrid.analysis.statistics.tails import quantiles, variance_of
from loragrid.analysis.statistics.variances import NOTHING

MOST_QUESTIONS = 1_000_000
MOST_SEEDS = 1_000
NODES = 12
NAN = float("nan")

MOST_ERRORS = 1e9

STEP = 0.5
"""So many questions more than the score test the exact test asks for, about, where it counts."""


class Spreads(NamedTuple):
    """The variance components of one difference of two answers, recorded or assumed. Their sum is its variance."""

    of_questions: float
    """With clusters, what the mean over n questions has as variance, times n."""
    of_seeds: float
    of_both: float


class RightOrWrong(NamedTuple):
    """Of answers that are right or wrong, the test's error is larger than that of the difference itself (Tango 1998)."""

    variance: float | None = None
    """Of one difference of two answers; by default the sum of the spreads, which with clusters it is not."""
    unit: float = 1.0
    """The range of the metric."""


class Needed(NamedTuple):
    """What would decide: either so many questions with the seeds there are, or so many seeds with the questions there are."""

    questions: int | None
    """None where no number of them would do."""
    seeds: int | None


def detectable_difference(estimate: Estimate, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest difference that a comparison like this one finds with the given power.

    NaN where there is too little data, infinite where no difference would be found. What seeds add is supposed to be such that
    less would have been seen as often as more: from few seeds it is still uncertain, and so is this.
    """
    if math.isnan(estimate.standard_error):
        return NAN
    least = _of_study(estimate, estimate.questions, estimate.seeds, level, power)
    return least if least <= _largest_difference(estimate.shape) else math.inf


def planned_detectable_difference(
    spreads: Spreads,
    questions: int,
    seeds: int = 1,
    clusters: int | None = None,
    trained: int = 2,
    level: float = 0.95,
    power: float = 0.8,
    right_or_wrong: RightOrWrong | None = None,
    by_signs: bool = True,
) -> float:
    """The smallest difference that a study finds with the given power; infinite where it finds none.

    Fewer than six questions (or clusters) find none at a level of 95 %: with five, signs alone have a p-value of 1/16 even if
    all of them differ to one side. Of six, all have to.

    Args:
        seeds: of each way.
        clusters: as many as questions by default.
        trained: how many of the two ways are trained with these seeds; 1 against a base model.
        right_or_wrong: for answers that can be nothing else.
        by_signs: whether the exact test by signs counts, as it does but for means over tasks.
    """
    number = clusters or questions
    if by_signs and number < _least_clusters(level):
        return math.inf
    of_both = spreads.of_both / (questions * seeds)
    of_clusters = spreads.of_questions / questions + of_both
    freedom = number - 1.0
    # All of the least number have to differ to one side.
    at_least = by_signs and number == _least_clusters(level)
    least = math.sqrt(number * of_clusters) * float(ndtri(power ** (1 / number))) if at_least else 0.0
    of_pair, step = math.inf, 0.0
    if right_or_wrong is not None:
        of_pair = sum(spreads) if right_or_wrong.variance is None else right_or_wrong.variance
        step = STEP * right_or_wrong.unit / questions if freedom == questions - 1 else 0.0
    if seeds > 1:
        of_seeds = spreads.of_seeds / seeds
        parts = Parts(of_clusters, freedom, of_seeds + of_both, of_both, float(trained * (seeds - 1)))
        size = max(_over_seeds(parts, of_pair, level, power), least)
        return _within(size, right_or_wrong.unit if right_or_wrong else math.inf)
    critical, beyond = _distances(freedom, level, power)
    error = math.sqrt(of_clusters)
    if math.isinf(of_pair):
        return max(error * (critical + beyond), least)
    size = _where_power_is_reached(lambda size: size - step - error * (critical * _inflation(size, of_pair) + beyond), error)
    return _within(max(size, least), right_or_wrong.unit if right_or_wrong else math.inf)


def _within(size: float, unit: float) -> float:
    """No difference is larger than the range of the metric."""
    return size if size <= unit else math.inf


def _over_seeds(parts: Parts[float], of_pair: float, level: float, power: float) -> float:
    """The smallest difference that is found with the given power, over what seeds may happen to show of their variance.

    Args:
        parts: the true ones
        of_pair: the variance of one difference of two answers; infinite where the test does not depend on it
    """
    seen = parts.between * _quantiles_of_seeds(parts.freedom_of_seeds)
    of_clusters, freedom, _, interaction, freedom_of_seeds = (np.full(NODES, part) for part in parts)
    shown = Parts(of_clusters, freedom, seen, interaction, freedom_of_seeds)
    weights = _nodes()[1]
    critical = quantiles(shown, level) * np.sqrt(variance_of(shown))
    error = math.sqrt(float(variance_of(parts)))
    if error == 0:
        return 0.0

    def excess(size: float) -> float:
        return float(ndtr((size - critical * _inflation(size, of_pair)) / error) @ weights) - power

    return _where_power_is_reached(excess, error)


def _inflation(size: float, of_pair: float) -> float:
    """The error of the test of no difference over that of a difference: pairs that differ vary by as much more as they lean."""
    return math.sqrt(1 + size**2 / of_pair)


def _where_power_is_reached(excess: Callable[[float], float], error: float) -> float:
    """The size at which an excess is 0; infinite where there is none within reach."""
    high = 4 * error
    while excess(high) < 0:
        high *= 2
        if high > MOST_ERRORS * error:
            return math.inf
    return float(brentq(excess, 0.0, high, xtol=1e-6 * error))


@cache
def _median_of_seeds(freedom: float) -> float:
    return float(chdtri(freedom, 0.5) / freedom)


@cache
def _quantiles_of_seeds(freedom: float) -> np.ndarray:
    """What an estimated variance with some degrees of freedom is over the true one, at the nodes."""
    return np.asarray(chdtri(freedom, _nodes()[0]) / freedom)


@cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and their weights, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2


def needed(estimate: Estimate, difference: float, level: float = 0.95, power: float = 0.8) -> Needed:
    """How many questions, or seeds of each way, would find a difference with the given power, all else being as it is.

    Clusters become more as questions do. With one seed, more seeds would be another claim: their number is None. Of a mean over
    tasks both are None: it is not known which task's questions would do.
    """
    if math.isnan(estimate.standard_error) or math.isnan(estimate.of_questions) or not difference:
        return Needed(None, None)

    def with_questions(questions: int) -> float:
        return _of_study(estimate, questions, estimate.seeds, level, power)

    def with_seeds(seeds: int) -> float:
        return _of_study(estimate, estimate.questions, seeds, level, power)

    of_seeds = _smallest(with_seeds, abs(difference), MOST_SEEDS) if estimate.freedom_of_seeds and estimate.seeds > 1 else None
    return Needed(_smallest(with_questions, abs(difference), MOST_QUESTIONS), of_seeds)


def _of_study(estimate: Estimate, questions: int, seeds: int, level: float, power: float) -> float:
    """The smallest difference that a study like this one finds, but for its numbers of questions and seeds."""
    shape, growth = estimate.shape, questions / estimate.questions
    if shape.kind == "t" and shape.error <= NOTHING:
        return math.inf  # nothing is known about the error
    # The p-value of no difference is then at least that of the exact test.
    if shape.exact > 0 and estimate.clusters * growth < _least_clusters(level):
        return math.inf
    freedom = max((shape.parts.freedom + 1) * growth - 1, 1.0)
    if shape.parts.freedom_of_seeds:
        parts = _probable(shape.parts, growth, seeds / estimate.seeds, (seeds - 1) / max(estimate.seeds - 1, 1) or 1.0)
        return _over_seeds(parts._replace(freedom=freedom), _of_pair(shape), level, power)
    if shape.kind == "tango":
        step = STEP / questions if shape.exact > 0 else 0.0
        unit = shape.bounds[1] - shape.bounds[0]
        return unit * _detectable_share(shape.gains + shape.losses, shape.size * growth, freedom, step, level, power)
    return estimate.standard_error / math.sqrt(growth) * sum(_distances(freedom, level, power))


def _least_clusters(level: float) -> int:
    """So few clusters of questions can have a p-value of 1 - level by signs alone, if all of them differ to one side."""
    return math.ceil(1 + math.log2(1 / (1 - level)))


def _probable(parts: Parts[float], growth: float, of_seeds: float, of_freedom: float) -> Parts[float]:
    """The parts of a study with other numbers, seeds varying by so much that less would have been seen as often as more.

    Args:
        growth: questions over those that there were; the others likewise
    """
    seeds = max(parts.between / _median_of_seeds(parts.freedom_of_seeds) - parts.interaction, 0.0) / of_seeds
    interaction = parts.interaction / growth / of_seeds
    of_questions = max(parts.of_clusters - parts.interaction, 0.0) / growth
    return Parts(of_questions + interaction, NAN, seeds + interaction, interaction, parts.freedom_of_seeds * of_freedom)


def _largest_difference(shape: Shape[float]) -> float:
    """That the metric allows; infinite where its bounds are not known."""
    lowest, highest = shape.bounds
    return highest if shape.kind == "t" else highest - lowest


def _of_pair(shape: Shape[float]) -> float:
    """The variance of one difference of two answers, as far as the test depends on it."""
    if shape.kind != "tango":
        return math.inf
    of_one = shape.gains + shape.losses - (shape.gains - shape.losses) ** 2
    return max(of_one, 1e-12) * (shape.bounds[1] - shape.bounds[0]) ** 2


def _detectable_share(discordant: float, size: float, freedom: float, step: float, level: float, power: float) -> float:
    """Of paired proportions (Connor 1987; Miettinen 1968): the error shrinks with the difference.

    Pairs that differ are at least as many as the difference asks for.
    """
    critical, beyond = _distances(freedom, level, power)

    def reached(difference: float) -> float:
        pairs = max(discordant, difference)
        return critical * math.sqrt(pairs / size) + beyond * math.sqrt(max(pairs - difference**2, 0.0) / size) + step - difference

    low, high = 0.0, 1.0
    if reached(high) > 0:
        return float("inf")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) > 0 else (low, middle)
    return high


@lru_cache(4096)
def _distances(freedom: float, level: float, power: float) -> tuple[float, float]:
    """In standard errors: the critical value, and how far beyond it the truth has to be (the non-central t distribution)."""
    if math.isinf(freedom):
        return float(-ndtri((1 - level) / 2)), float(ndtri(power))
    critical = float(-stdtrit(freedom, (1 - level) / 2))
    return critical, float(nctdtrinc(freedom, 1 - power, critical)) - critical


def _smallest(size_at: Callable[[int], float], wanted: float, most: int) -> int | None:
    """The smallest number, at least 2, that makes a size as small as wanted, where larger ones make it smaller."""
    low, high = 2, most
    above, below = size_at(low), size_at(high)
    if below > wanted:
        return None
    if above <= wanted:
        return low
    turn = 0
    while high - low > 1:
        turn += 1
        # A size is about a power of the number; every third guess halves what is left, whatever the size is.
        share = 0.5
        if turn % 3 and math.isfinite(above) and below > 0:
            share = math.log(above / wanted) / math.log(above / below)
        guess = min(max(math.ceil(low * (high / low) ** share), low + 1), high - 1)
        size = size_at(guess)
        low, high, above, below = (guess, high, size, below) if size > wanted else (low, guess, above, size)
    return high
