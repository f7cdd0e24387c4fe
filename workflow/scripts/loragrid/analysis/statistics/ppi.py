"""What people would say on average, from their ratings of a part of the answers and a judge's scores of all.

Prediction-powered inference (Angelopoulos et al. 2023, arXiv:2301.09633) with power tuning (PPI++, arXiv:2311.01453). It holds
whatever the judge is worth, if the rated answers are a random part of all. A bad judge only brings nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from loragrid.analysis.statistics.cluster_jackknife import Interval, interval, jackknife, sums_by_cluster


class Corrected(NamedTuple):
    """A mean of people's ratings, with and without a judge's help. What cannot be told is NaN."""

    mean: Interval
    """What people would say on average of all answers."""
    people: Interval
    """The mean of the answers that they rated, by itself."""
    judge: float
    """The mean of the judge's scores of all answers, in its own unit and with its errors."""
    weight: float
    """How much of the judge's scores was used: 0 is nothing. It also brings them into the ratings' unit."""
    rated: int
    judged: int
    """Answers, those with ratings and others."""
    worth: float
    """How many ratings would tell as much without the judge, about independent answers alike."""


def corrected_mean(
    ratings: np.ndarray, judgements: np.ndarray, clusters: np.ndarray, level: float = 0.95, weight: float | None = None
) -> Corrected:
    """The mean rating of all answers: the judge's mean over the others, times a weight, and the mean of what it missed.

    The power-tuned weight has the least error for answers that are independent. Unlike in the paper it may be larger than 1 or
    negative, so that a judge with another scale helps too. The interval is the jackknife's over clusters of questions, which
    includes the error of the weight, with Student's t for the clusters with ratings.

    For the difference of two ways, give the differences of ratings and judgements on each question.

    Args:
        ratings: (answers,), NaN where nobody rated.
        judgements: (answers,), of all answers; answers without are left out.
        clusters: (answers,), the label of each answer's cluster.
        weight: fixed beforehand, as in plain prediction-powered inference, where it is 1.
    """
    is_judged = np.isfinite(judgements)
    ratings, judgements, clusters = ratings[is_judged], judgements[is_judged], clusters[is_judged]
    is_rated = np.isfinite(ratings)
    own, others = ratings[is_rated], judgements[~is_rated]
    k = len(np.unique(clusters[is_rated]))
    counts = {"rated": len(own), "judged": len(judgements)}
    judge = float(judgements.mean()) if len(judgements) else math.nan
    people = _mean_of_rated(own, clusters[is_rated], level)
    if not len(own) or not len(others) or not math.isfinite(people.standard_error):
        return Corrected(people._replace(low=math.nan, high=math.nan), people, judge, 0.0, **counts, worth=math.nan)
    # Differences from the means lose nothing to rounding.
    shift = float(own.mean())
    y, f = np.where(is_rated, ratings - shift, 0.0), judgements - judge
    rated = is_rated.astype(float)
    columns = np.column_stack([rated, y, rated * f, y * f, 1 - rated, (1 - rated) * f, f * f])
    sums = sums_by_cluster(columns, clusters)

    def value(of: np.ndarray) -> np.ndarray:
        n, sum_y, sum_f, _, rest, sum_rest, _ = of.T
        own_weight = tuned_weight(of) if weight is None else weight
        return np.asarray(sum_y / n + own_weight * (sum_rest / rest - sum_f / n))

    found = jackknife(sums, value, level)
    mean = interval(shift + found.value, found.standard_error, k, level)
    tuned = float(tuned_weight(sums.sum(0)[None])[0]) if weight is None else weight
    worth = len(own) * (people.standard_error / mean.standard_error) ** 2 if mean.standard_error > 0 else math.nan
    return Corrected(mean, people, judge, tuned, **counts, worth=worth)


def _mean_of_rated(ratings: np.ndarray, clusters: np.ndarray, level: float) -> Interval:
    """The mean of ratings. If all are the same, nothing is known about its error."""
    if not len(ratings):
        return interval(math.nan, math.nan, 0)
    sums = sums_by_cluster(np.column_stack([np.ones(len(ratings)), ratings - ratings.mean()]), clusters)
    found = jackknife(sums, lambda of: of[:, 1] / of[:, 0], level)
    error = found.standard_error if np.ptp(ratings) > 0 else math.nan
    return interval(float(ratings.mean()), error, len(sums), level)


def tuned_weight(sums: np.ndarray) -> np.ndarray:
    """The weight with the least error (PPI++, section 6), for each row of sums; 0 where the judge says the same of all answers.

    Args:
        sums: number, ratings, judgements and their product, of rated answers; number and judgements of the others; squared
            judgements of all.
    """
    n, sum_y, sum_f, sum_yf, rest, sum_rest, sum_ff = sums.T
    covariance = sum_yf / n - sum_y / n * sum_f / n
    everything = n + rest
    variance = (sum_ff - (sum_f + sum_rest) ** 2 / everything) / (everything - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = covariance / ((1 + n / rest) * variance)
    return np.where((variance > 1e-18) & (rest > 0), weights, 0.0)
