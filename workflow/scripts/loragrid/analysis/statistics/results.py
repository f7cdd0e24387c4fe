"""What the statistics take and give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np

Number = TypeVar("Number", float, np.ndarray)


class Results(NamedTuple):
    """The results of one way in one metric on one set of questions."""

    values: np.ndarray
    """(seeds, questions): the mean over the samples of an answer; complete. A base model has one row."""
    clusters: np.ndarray
    """(questions,): an integer for each question; those that are not independent share it. Comparable over the data sets of a
    grid."""
    bounds: tuple[float, float] | None = None
    """The least and the largest value that an answer can have; None where there is no such limit."""
    sampling: float = float("nan")
    """The mean over answers of the variance between an answer's samples, divided by their number."""


class Sums(NamedTuple):
    """The results of one way in a metric over all examples together."""

    counts: np.ndarray
    """(seeds, questions, counts): what is added up over questions."""
    clusters: np.ndarray
    """(questions,), as in `Results`."""
    value: Callable[[np.ndarray], np.ndarray]
    """From sums, (n, counts), to the metric, (n,)."""
    bounds: tuple[float, float] | None = None
    """The least and the largest value of the metric; None where there is no such limit."""


class Influence(NamedTuple):
    """What each cluster of questions contributes to the error of an estimate.

    Estimates that share clusters have correlated errors; the products of their contributions add up to the covariance.
    """

    labels: np.ndarray
    """(clusters,): labels in ascending order."""
    contributions: np.ndarray
    """(clusters,): their squares add up to the variance that comes from questions."""


class Parts(NamedTuple, Generic[Number]):
    """What the variance of an estimate consists of, and how well it is known."""

    of_clusters: Number
    """The variance of the mean over seeds that clusters of questions show."""
    freedom: Number
    """Its degrees of freedom."""
    between: Number
    """The variance of the mean that is seen between seeds; 0 with one seed."""
    interaction: Number
    """The part of it that is the interaction of seeds with questions, which `of_clusters` holds too."""
    freedom_of_seeds: Number
    """Degrees of freedom of what is seen between seeds; 0 with one seed."""


class Shape(NamedTuple, Generic[Number]):
    """What an interval of any level, and the p-value of any supposed value, follow from."""

    kind: Literal["t", "wilson", "tango"]
    bounds: tuple[float, float]
    """Of the metric; of kind `t`, of the estimate itself, infinite where they are not known."""
    value: Number
    error: Number
    parts: Parts[Number]
    """Of the squared error."""
    size: Number
    """The effective number of questions: so many independent answers that are right or wrong would have this error."""
    exponent: Number
    """Kind `wilson`: how the variance depends on the mean."""
    gains: Number
    """Kind `tango`: the mean of the positive parts of differences, 0 to 1, in units of the range."""
    losses: Number
    """The same of the negative parts."""
    exact: Number
    """The p-value of the exact test of no difference: the least that may be claimed. 0 where there is none."""


class Estimate(NamedTuple):
    """A mean or a difference with its interval. Undefined values are NaN."""

    value: float
    low: float
    high: float
    standard_error: float
    freedom: float
    """Degrees of freedom of the standard error as estimated (Satterthwaite 1946). Intervals with seeds heed too how uncertain
    these are."""
    p_value: float
    """Two-sided, of a difference of 0. It is below 1 - level exactly if 0 is outside the interval. NaN for means."""
    questions: int
    clusters: int
    seeds: int
    """1: the claim is about this one training. More: about the mean over trainings. It is the larger number of both ways'
    rows; of two trained ways that differ in it, `contrasts` puts the smaller one."""
    of_questions: float
    """Variance components of one answer, or of one difference of two answers: questions,"""
    of_seeds: float
    """seeds,"""
    of_both: float
    """and their interaction. NaN where they cannot be told apart: with one seed, all but seeds is in `of_questions`."""
    of_samples: float
    """The part of the above that comes from drawing samples of an answer."""
    freedom_of_seeds: float
    """Degrees of freedom of the part that comes from seeds; 0 with one seed."""
    method: str
    """In words."""
    influence: Influence
    shape: Shape[float]
