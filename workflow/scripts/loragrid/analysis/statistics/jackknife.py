"""Metrics over all examples together, brought into the form of metrics that each example has."""

from __future__ import annotations

import numpy as np

from loragrid.analysis.statistics.clusters import groups_of, totals
from loragrid.analysis.statistics.results import Results, Sums


def value_of(results: Results | Sums) -> float:
    """The mean over seeds and questions, or the mean over seeds of a metric over all examples."""
    if isinstance(results, Results):
        return float(results.values.mean())
    return float(results.value(results.counts.sum(axis=1)).mean())


def as_results(results: Results | Sums) -> Results:
    """For a metric over all examples, the jackknife's pseudo-values, one for each cluster of questions and seed (Tukey 1958).

    Their mean is the metric less its bias, and the variance of their mean is that of the jackknife (Efron & Stein 1981).
    """
    if isinstance(results, Results):
        return results
    groups = groups_of(results.clusters)
    of_clusters = totals(np.moveaxis(results.counts, 1, -1), groups)
    of_all = of_clusters.sum(axis=-1)
    nb_clusters = len(groups.labels)
    pseudo = np.empty((len(of_all), nb_clusters))
    for row, (parts, whole) in enumerate(zip(of_clusters, of_all, strict=True)):
        without = results.value(whole - parts.T)
        pseudo[row] = nb_clusters * results.value(whole[None])[0] - (nb_clusters - 1) * without
    return Results(pseudo, groups.labels, results.bounds)
