"""Correlation of two scorers over the same answers: within questions, over all answers, and between ways.

Within questions, the scorers are compared on the answers of all ways to one question, and the mean over questions counts (what
Deutsch, Dror & Roth 2021, arXiv:2104.00054, call summary-level). Between ways, their means of each way are compared
(system-level).
Each comes as Pearson's r, Spearman's rho and Kendall's tau-b (1945).

Intervals are about the choice of questions, for these ways: questions of one cluster are drawn together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from loragrid.analysis.statistics.cluster_jackknife import LEAST_CLUSTERS, Interval, interval, jackknife, sums_by_cluster

COEFFICIENTS = ("pearson", "spearman", "kendall")


LEAST_WAYS = 3
"""Between fewer ways, a correlation says nothing: it is 1 or -1."""


RESAMPLES, MOST_MEANS = 999, 30_000
"""How often clusters are drawn anew; less often where there are so many ways that they would have more means than this."""


class Answers(NamedTuple):
    """What two scorers say about the same answers. All arrays have an entry for each answer, and labels are integers."""

    own: np.ndarray
    other: np.ndarray
    questions: np.ndarray
    ways: np.ndarray
    clusters: np.ndarray

    @property
    def known(self) -> Answers:
        """The answers that have both scores, with labels from 0 in order."""
        has_both = np.isfinite(self.own) & np.isfinite(self.other)
        labels = [np.unique(one[has_both], return_inverse=True)[1] for one in self[2:]]
        return Answers(self.own[has_both], self.other[has_both], *labels)


def over_all_answers(answers: Answers, level: float = 0.95) -> dict[str, Interval]:
    """Each coefficient over all answers together."""
    own, other, _, _, clusters = answers.known
    if not len(own) or np.ptp(own) == 0 or np.ptp(other) == 0:
        return dict.fromkeys(COEFFICIENTS, interval(np.nan, np.nan, len(np.unique(clusters))))
    columns = np.column_stack([np.ones(len(own)), own - own.mean(), other - other.mean()])
    products = np.column_stack([columns, columns[:, 1] ** 2, columns[:, 2] ** 2, columns[:, 1] * columns[:, 2]])
    return {
        "pearson": jackknife(sums_by_cluster(products, clusters), _pearson, level, is_correlation=True),
        "spearman": _with_error(*_spearman_over_all(own, other), clusters, level),
        "kendall": _with_error(*_kendall_over_all(own, other), clusters, level),
    }


def within_questions(answers: Answers, level: float = 0.95) -> dict[str, Interval]:
    """The mean over questions of each coefficient between the answers to one question.

    A question to which all answers have the same score by one of both says nothing, and does not count.
    """
    own, other, questions, _, clusters = answers.known
    of_question = np.zeros(questions.max(initial=-1) + 1, dtype=int)
    of_question[questions] = clusters
    found = {}
    for name, values in by_group(own, other, questions).items():
        counts = np.isfinite(values)
        columns = np.column_stack([np.ones(counts.sum()), values[counts]])
        sums = sums_by_cluster(columns, of_question[counts])
        found[name] = jackknife(sums, _mean, level, is_correlation=True) if counts.any() else interval(np.nan, np.nan, 0)
    return found


def between_ways(answers: Answers, level: float = 0.95) -> dict[str, Interval]:
    """Each coefficient between the means of ways, with the interval of a bootstrap over clusters.

    Deutsch, Dror & Roth (2021) call it Boot-Inputs. Ranks of means are no smooth function of them, so that no error by
    derivatives exists. The interval is about what studies with as many questions show: chance moves means of ways apart, so that
    their correlation is nearer to 0 than with endless questions.
    """
    own, other, _, ways, clusters = answers.known
    w, k = ways.max(initial=-1) + 1, clusters.max(initial=-1) + 1
    if w < LEAST_WAYS:
        return dict.fromkeys(COEFFICIENTS, interval(np.nan, np.nan, int(k)))
    cells = clusters * w + ways
    sums = [np.bincount(cells, weights, k * w).reshape(k, w) for weights in (np.ones(len(own)), own, other)]
    found = {name: float(values[0]) for name, values in _between(np.ones((1, k)), *sums).items()}
    if k < LEAST_CLUSTERS:
        return {name: interval(value, np.nan, int(k)) for name, value in found.items()}
    resamples = int(np.clip(MOST_MEANS // w, 199, RESAMPLES))
    draws = np.random.default_rng(0).multinomial(k, np.full(k, 1 / k), resamples).astype(float)
    drawn = _between(draws, *sums)
    return {name: _of_resamples(value, drawn[name], level, int(k)) for name, value in found.items()}


def _between(draws: np.ndarray, counts: np.ndarray, own: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """Each coefficient between ways, for each row of draws: how often each cluster counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [(draws @ one / (draws @ counts)).ravel() for one in (own, other)]
    groups = np.repeat(np.arange(len(draws)), counts.shape[1])
    # A way without any answer in a resample is left out of it.
    has_mean = np.isfinite(means[0])
    return by_group(means[0][has_mean].round(12), means[1][has_mean].round(12), groups[has_mean])


def _of_resamples(value: float, drawn: np.ndarray, level: float, clusters: int) -> Interval:
    """The percentile interval (Efron 1979) and that of Student's t with the resamples' error, both: it errs on the wide side.

    Resamples have the noise of means twice. With many ways their percentiles are too near to 0; with few, the error is too small.
    """
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn) or np.ptp(drawn) < 1e-9:
        return interval(value, np.nan, clusters)
    by_error = interval(value, float(drawn.std(ddof=1)), clusters, level)
    low, high = (float(one) for one in np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]))
    return by_error._replace(low=max(min(low, by_error.low), -1.0), high=min(max(high, by_error.high), 1.0))


def _mean(sums: np.ndarray) -> np.ndarray:
    return np.asarray(sums[:, 1] / sums[:, 0])


def _pearson(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation for each row of sums: number, own, other, own squared, other squared, own times other."""
    n, x, y, xx, yy, xy = sums.T
    return np.asarray((xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n)))


def _with_error(value: float, influence: np.ndarray, clusters: np.ndarray, level: float) -> Interval:
    """The interval of a correlation from what each answer adds to its error.

    Args:
        influence: of each answer, times their number.
    """
    of_clusters = np.bincount(clusters, influence) / max(len(influence), 1)
    k = len(of_clusters)
    if k < 2:
        return interval(value, np.nan, k, level, is_correlation=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Deleting a cluster from an estimate moves it by a little more than its influence: k / (k - 1), as in the jackknife.
        error = np.sqrt((k / (k - 1)) * (of_clusters**2).sum()) * k / (k - 1) / (1 - value**2)
    return interval(value, float(error), k, level, is_correlation=True)


def _spearman_over_all(own: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray]:
    """Spearman's rho, with middle ranks for ties, and the influence of each answer (Croux & Dehon 2010, here with ties).

    An answer adds its own product of ranks, and shifts the ranks of all answers above it.
    """
    ranks = [rankdata(values) / len(values) - 0.5 - 0.5 / len(values) for values in (own, other)]
    shift = [[_mean_above(values, of) for of in ranks] for values in (own, other)]
    products = [(0, 0), (1, 1), (0, 1)]
    own_var, other_var, both = (float((ranks[i] * ranks[j]).mean()) for i, j in products)
    moved = [ranks[i] * ranks[j] + shift[i][j] + shift[j][i] for i, j in products]
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = float(both / np.sqrt(own_var * other_var))
        # Each of the three means is of the third degree in the answers' distribution.
        influence = (moved[2] - 3 * both) / np.sqrt(own_var * other_var)
        influence -= rho / 2 * ((moved[0] - 3 * own_var) / own_var + (moved[1] - 3 * other_var) / other_var)
    return rho, influence


def _mean_above(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """For each answer, the sum of something over answers with larger values, and half of it over equal ones, by their number."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    sums = np.bincount(place, of, len(counts))
    return np.asarray((sums[::-1].cumsum()[::-1] - sums / 2)[place] / len(values))


def _kendall_over_all(own: np.ndarray, other: np.ndarray) -> tuple[float, np.ndarray]:
    """Kendall's tau-b, and the influence of each answer: the projection of a U-statistic (Hoeffding 1948; Newson 2002)."""
    groups = np.zeros(len(own), dtype=int)
    agreeing, own_differs, other_differs, *_ = pairs_of(own, other, groups)
    pairs = np.sqrt(float(own_differs.sum()) * float(other_differs.sum()))
    tau = float(agreeing.sum() / pairs)
    n = len(own)
    shares = [n * one / one.sum() for one in (own_differs, other_differs)]
    return tau, 2 * n * agreeing / pairs - tau * shares[0] - tau * shares[1]


def by_group(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> dict[str, np.ndarray]:
    """Each coefficient between the answers of each group; NaN where one of both says the same of all answers.

    Args:
        groups: of each answer, integers from 0.
    """
    pairs = pairs_of(own, other, groups)
    agreeing, own_differs, other_differs = (np.bincount(groups, one) for one in pairs[:3])
    varies = (own_differs > 0) & (other_differs > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "pearson": _pearson_by_group(own, other, groups),
            "spearman": _pearson_by_group(pairs.own_ranks, pairs.other_ranks, groups),
            "kendall": agreeing / np.sqrt(own_differs * other_differs),
        }
    return {name: np.where(varies, values, np.nan) for name, values in found.items()}


def _pearson_by_group(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> np.ndarray:
    counts = np.bincount(groups)
    x, y = (values - (np.bincount(groups, values) / counts)[groups] for values in (own, other))
    xx, yy, xy = (np.bincount(groups, product) for product in (x * x, y * y, x * y))
    return np.asarray(np.clip(xy / np.sqrt(xx * yy), -1, 1))


class Pairs(NamedTuple):
    """For each answer, about the pairs that it makes with others of its group."""

    agreeing: np.ndarray
    """How many more pairs both scorers order alike than contrarily."""
    own_differs: np.ndarray
    """How many pairs differ by the one scorer."""
    other_differs: np.ndarray
    own_ranks: np.ndarray
    """Its rank in its group by the one scorer, from 0.5; equal answers have their middle rank."""
    other_ranks: np.ndarray


def pairs_of(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> Pairs:
    """The pairs that answers make with others of their group, in n log n steps.

    Args:
        groups: of each answer, integers from 0.
    """
    own, other = (np.unique(values, return_inverse=True)[1] for values in (own, other))
    nb_own, nb_other = (values.max(initial=0) + 1 for values in (own, other))
    sizes = np.bincount(groups)[groups]
    own_smaller, own_equal = _smaller_and_equal(own, groups)
    other_smaller, other_equal = _smaller_and_equal(other, groups)
    own_smaller_alone, both_equal = _smaller_and_equal(own, groups * nb_other + other)
    other_smaller_alone, _ = _smaller_and_equal(other, groups * nb_own + own)
    # All pairs are smaller, equal or larger by each of both. Of these nine kinds, sums and five counts give the rest.
    below = 4 * _smaller_by_both(own, other, groups) + 2 * own_smaller_alone + 2 * other_smaller_alone + both_equal
    agreeing = below + sizes - 2 * own_smaller - own_equal - 2 * other_smaller - other_equal
    ranks = own_smaller + own_equal / 2, other_smaller + other_equal / 2
    return Pairs(agreeing, sizes - own_equal, sizes - other_equal, *ranks)


def _smaller_and_equal(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many values of its group are smaller than an answer's, and how many are equal, its own too. All are integers from 0."""
    n, width = len(values), values.max(initial=0) + 1
    keys = groups * width + values
    order = np.argsort(keys)
    in_order = keys[order]
    starts = np.flatnonzero(np.diff(in_order, prepend=-1))
    lengths = np.diff(starts, append=n)
    new_group = np.diff(in_order // width, prepend=-1) > 0
    group_starts = np.maximum.accumulate(np.where(new_group, np.arange(n), 0))
    smaller, equal = np.empty(n, dtype=int), np.empty(n, dtype=int)
    smaller[order], equal[order] = np.repeat(starts, lengths) - group_starts, np.repeat(lengths, lengths)
    return smaller, equal


def _smaller_by_both(own: np.ndarray, other: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each answer, how many of its group are smaller by both scorers. All values are integers from 0.

    Answers get places by the one scorer, are put in the order of the other, and are then parted by the bits of their places, the
    highest first, as in a wavelet tree (Grossi, Gupta & Vitter 2003). Whatever goes left before an answer goes right is
    smaller by both.
    """
    n, nb_own, nb_other = len(own), own.max(initial=0) + 1, other.max(initial=0) + 1
    places = np.empty(n, dtype=int)
    places[np.argsort((groups * nb_own + own) * nb_other + nb_other - 1 - other)] = np.arange(n)
    # Equal values, and earlier groups, come behind, where they do not count.
    current = places[np.argsort(((groups.max(initial=0) - groups) * nb_other + other) * n + n - 1 - places)]
    found = np.zeros(n, dtype=int)
    for bit in reversed(range(max(n - 1, 0).bit_length())):
        goes_left = (current >> bit) & 1 == 0
        start = current >> (bit + 1) << (bit + 1)
        before = np.cumsum(goes_left) - goes_left
        left = before - before[start]
        found[current] += np.where(goes_left, 0, left)
        right = np.arange(n) - start - left
        parted = np.empty(n, dtype=int)
        parted[start + np.where(goes_left, left, np.minimum(1 << bit, n - start) + right)] = current
        current = parted
    return found[places]


Scope = Callable[[Answers, float], dict[str, Interval]]


SCOPES: dict[str, Scope] = {
    "within questions": within_questions,
    "over all answers": over_all_answers,
    "between ways": between_ways,
}
"""Between what scorers are compared."""
