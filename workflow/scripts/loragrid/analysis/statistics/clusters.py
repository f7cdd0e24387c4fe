"""Clusters of questions: which there are, and how uncertain a mean over them is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Groups(NamedTuple):
    """The clusters of a set of questions."""

    labels: np.ndarray
    """(clusters,), ascending."""
    places: np.ndarray
    """(questions,): the place of each question's cluster in `labels`."""
    sizes: np.ndarray
    """(clusters,): questions of each."""


def groups_of(clusters: np.ndarray) -> Groups:
    labels, places, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    return Groups(labels, places, sizes)


def totals(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Sums over the questions of each cluster.

    Args:
        values: (..., questions)

    Returns:
        (..., clusters)
    """
    if len(groups.labels) == len(groups.places):
        of_clusters = np.empty(values.shape)
        of_clusters[..., groups.places] = values
        return of_clusters
    starts = np.concatenate([[0], np.cumsum(groups.sizes)[:-1]])
    return np.add.reduceat(values[..., np.argsort(groups.places, kind="stable")], starts, axis=-1)


def contributions(values: np.ndarray, groups: Groups) -> np.ndarray:
    """What each cluster contributes to the error of the mean over questions; the sum of squares estimates its variance.

    The cluster-robust variance (Liang & Zeger 1986; for evaluations of models Miller 2024, arXiv:2411.00640, equation 4) with
    the correction CR2 (Bell & McCaffrey 2002): it is unbiased for clusters of one size, and s² / n where each question is its
    own cluster. NaN for a single cluster.

    Args:
        values: (..., questions)

    Returns:
        (..., clusters)
    """
    if len(groups.labels) < 2:
        return np.full((*values.shape[:-1], len(groups.labels)), np.nan)
    nb_questions = len(groups.places)
    deviations = values - values.mean(axis=-1, keepdims=True)
    parts: np.ndarray = totals(deviations, groups) / (nb_questions * np.sqrt(1 - groups.sizes / nb_questions))
    return parts


def freedom_of(sizes: np.ndarray) -> float:
    """Degrees of freedom of the variance from `contributions` (Satterthwaite 1946, as Bell & McCaffrey 2002 use it).

    Clusters - 1 if all are of one size, fewer if few hold most questions. The totals of clusters are taken to vary as their
    squared sizes, the careful end of what is possible.

    Args:
        sizes: of the clusters
    """
    if np.all(sizes == sizes[0]):
        return float(len(sizes) - 1)
    shares = sizes / sizes.sum()
    weights, spreads = 1 / (1 - shares), shares**2
    # The deviations' covariance is diag(spreads) + U K U' with two columns in U: the traces are sums over clusters.
    columns = np.stack([spreads, shares], axis=1)
    inner = np.array([[0.0, -1.0], [-1.0, spreads.sum()]])
    product = inner @ (columns.T @ (weights[:, None] * columns))
    crossed = inner @ (columns.T @ ((weights**2 * spreads)[:, None] * columns))
    trace = (weights * spreads).sum() + np.trace(product)
    squares = ((weights * spreads) ** 2).sum() + 2 * np.trace(crossed) + np.trace(product @ product)
    return float(trace**2 / squares)
