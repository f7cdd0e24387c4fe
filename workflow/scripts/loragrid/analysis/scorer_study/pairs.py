"""How scorers go together: with each other, with people, and with the length of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import pandas as pd

from loragrid.analysis.scorer_study.answers import CHARACTERS, DATASET, Answered, Metric
from loragrid.analysis.statistics.correlation import SCOPES, Answers
from loragrid.scoring.scorer import Kind

OTHER = ["other_scorer", "other_metric", "other_kind"]


PAIRS = [*DATASET, *Metric._fields, *OTHER, "scope", "coefficient", "value", "low", "high", "standard_error"]
PAIRS += ["answers", "questions", "clusters", "ways"]
"""The columns of `tables/scorers.csv`: a row per data set, pair of metrics, scope and coefficient."""


ORDER: Sequence[Kind] = ("metric", "judge", "people", "length")
"""Of the two metrics of a pair, the one with the later kind comes second."""


def correlations(datasets: Sequence[Answered]) -> pd.DataFrame:
    """The correlation of each two metrics, and of each with the length of answers (`other_scorer` is empty then)."""
    return pd.DataFrame([row for one in datasets for row in _of_dataset(one)], columns=PAIRS)


def _of_dataset(one: Answered) -> Iterator[tuple[object, ...]]:
    for pair in pairs_of_metrics(one.metrics):
        first, second = pair
        answers = Answers(one.column(first), one.column(second), one.questions, one.ways, one.clusters).known
        counts = [len(answers.own), *(len(set(labels)) for labels in (answers.questions, answers.clusters, answers.ways))]
        if counts[0] < 2:
            continue
        for scope, correlate in SCOPES.items():
            for coefficient, found in correlate(answers, 0.95).items():
                yield (one.task, one.sample_type, *first, *second, scope, coefficient, *found[:4], *counts)


def pairs_of_metrics(metrics: Sequence[Metric]) -> list[tuple[Metric, Metric]]:
    """Each two metrics once, and each metric with the length, unless it measures that itself."""
    in_order = sorted(metrics, key=lambda metric: ORDER.index(metric.kind))
    with_length = [(metric, CHARACTERS) for metric in in_order if metric.kind != "length"]
    return [*combinations(in_order, 2), *with_length]
