"""The variance of a mean, or of a difference of means, over questions in clusters crossed with training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from loragrid.analysis.statistics.clusters import Groups, contributions, freedom_of
from loragrid.analysis.statistics.results import Parts

NAN = float("nan")

PRIOR_CLUSTERS = 0.05
"""So many clusters whose answers are all alike are supposed beside the data: where there is little to see their likeness from,
it is taken for high. The simulations ask for no more."""

NOTHING = 1e-14
"""A variance below this, in squared units of the largest value, is a rounding error."""


class Spread(NamedTuple):
    """What the error of a mean, or of a difference of means, consists of. Arrays have the leading axes of the values."""

    parts: Parts[np.ndarray]
    contributions: np.ndarray
    """(..., clusters): as the function of this name has them."""
    of_questions: np.ndarray
    of_seeds: np.ndarray
    """NaN with one seed, as is `of_both`."""
    of_both: np.ndarray
    freedom_of_seeds: float
    of_answer: np.ndarray
    """The variance of one answer, or of one pair's difference, over questions."""


def spread_of(of_questions: np.ndarray, sides: Sequence[np.ndarray], pairs: np.ndarray, groups: Groups, nb_seeds: int) -> Spread:
    """The variance of a mean over seeds and questions, or of a difference of two such means, and its degrees of freedom.

    Effects of questions (in clusters) and of seeds are crossed (Owen 2007; the mean squares of the two-way layout, Searle,
    Casella & McCulloch 1992): the variance is that from clusters of the means over seeds, and that from seeds less what both
    hold; the second part is at least 0. A side with one row adds nothing: the claim is about that one training.

    Args:
        of_questions: (..., questions): the mean over seeds, or the difference of both sides' means.
        sides: (..., seeds, questions) each, whose seeds are independent of the other side's.
        pairs: (..., pairs, questions): single answers, or differences of two.
        nb_seeds: the larger number of rows of a side.
    """
    nb_questions, nb_clusters = len(groups.places), len(groups.labels)
    parts = contributions(of_questions, groups)
    of_answer = pairs.var(axis=-1).mean(axis=-1)
    of_clusters = _careful((parts**2).sum(axis=-1), of_answer, pairs, nb_seeds * nb_questions, nb_clusters)
    freedom, none = np.full_like(of_clusters, freedom_of(groups.sizes)), np.zeros_like(of_clusters)
    seeded = [(values.shape[-2], *_of_seeds(values, groups)) for values in sides if values.shape[-2] > 1]
    if not seeded:
        unknown = np.full_like(of_clusters, NAN)
        only = Parts(of_clusters, freedom, none, none, none)
        return Spread(only, parts, nb_questions * of_clusters, unknown, unknown, 0.0, of_answer)
    between = np.sum([seen for _, seen, _ in seeded], axis=0)
    interaction = np.sum([both for _, _, both in seeded], axis=0)
    of_sides = [seeds - 1 for seeds, _, _ in seeded]
    freedom_of_seeds = np.full_like(between, sum(of_sides))
    if len(set(of_sides)) > 1:  # with as many seeds on both sides, they are taken to vary alike, else not (Welch 1947)
        own = np.sum([seen**2 / (seeds - 1) for seeds, seen, _ in seeded], axis=0)
        freedom_of_seeds = np.maximum(between**2 / np.maximum(own, 1e-300), min(of_sides))
    return Spread(
        Parts(of_clusters, freedom, between, interaction, freedom_of_seeds),
        parts,
        nb_questions * np.maximum(of_clusters - interaction, 0.0),
        np.sum([seeds * np.maximum(seen - both, 0.0) for seeds, seen, both in seeded], axis=0),
        nb_questions * np.sum([seeds * both for seeds, _, both in seeded], axis=0),
        float(sum(of_sides)),
        of_answer,
    )


def _of_seeds(values: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray]:
    """The variance of the mean that is seen between seeds, and the part of it that is the interaction with questions."""
    nb_seeds = values.shape[-2]
    between = values.mean(axis=-1).var(axis=-1, ddof=1) / nb_seeds
    rest = values - values.mean(axis=-2, keepdims=True)
    interaction = (contributions(rest, groups) ** 2).sum(axis=(-1, -2)) / (nb_seeds * (nb_seeds - 1))
    return between, interaction


def _careful(seen: np.ndarray, of_answer: np.ndarray, pairs: np.ndarray, answers: int, nb_clusters: int) -> np.ndarray:
    """The variance of the mean that clusters show, where it may be an accident at least that of a little more evidence.

    Answers of one cluster are alike; how much shows in the design effect (Kish 1965), the variance over that of as many
    independent answers. If few answers stand out, nearly nothing is known about it: the few that do may be of different
    clusters by luck. So it is a weighted mean of what is seen and of its largest value, the answers of a cluster. The weight
    of what is seen is the number of answers over their kurtosis, which is how well their variance is known; it is about the
    number of wrong answers if few are wrong.

    Args:
        seen: the variance from clusters.
        pairs: (..., pairs, questions), whose variance is `of_answer`.
    """
    size = answers / nb_clusters
    if size == 1:
        return seen
    deviations = pairs - pairs.mean(axis=-1, keepdims=True)
    squares = deviations**2
    fourth = (squares**2).mean(axis=(-1, -2))
    questions = pairs.shape[-1]
    independent = of_answer * questions / max(questions - 1, 1) / answers
    known = answers * of_answer**2 / np.maximum(fourth, 1e-300)
    effect = np.maximum(seen / np.maximum(independent, 1e-300), 1.0)
    prior = PRIOR_CLUSTERS * size
    shrunk = independent * (known * effect + prior * size) / np.maximum(known + prior, 1e-300)
    return np.where(of_answer > NOTHING, shrunk, seen)
