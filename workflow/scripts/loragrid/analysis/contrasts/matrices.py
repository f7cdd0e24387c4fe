"""Scores as matrices: for each data set and metric, a row for each evaluation and a column for each question."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import METRIC, MODEL
from loragrid.analysis.contrasts.questions import Questions
from loragrid.analysis.contrasts.ways import EvaluationKey
from loragrid.analysis.settings import FactsByScorer
from loragrid.analysis.statistics.results import Results, Sums
from loragrid.analysis.summaries import counted
from loragrid.scoring.registry import corpus_metrics, has_corpus_metrics

Bounds = tuple[float, float]


class Measured(NamedTuple):
    """The results of all evaluations of one data set in one metric."""

    task: str
    sample_type: str
    scorer: str
    metric: str
    rows: Mapping[EvaluationKey, int]
    """The row of each evaluation."""
    values: np.ndarray
    """(evaluations, questions): means over the samples of an answer, or (evaluations, questions, counts). NaN: nothing counts."""
    value: Callable[[np.ndarray], np.ndarray] | None
    """From sums of counts to the metric over all examples; None for metrics that each example has."""
    questions: Sequence[str]
    """What is asked, by column."""
    clusters: np.ndarray
    """The cluster of each question, comparable over data sets."""
    sampling: np.ndarray
    """(evaluations,): the mean variance of an answer's mean that comes from drawing samples; NaN with one sample."""
    bounds: Bounds | None
    lower_is_better: bool
    nb_failed: np.ndarray
    """(evaluations,): scores that failed, wholly or in part."""
    ids: Sequence[str]
    """Of the test examples, by column."""

    @property
    def name(self) -> str:
        """As `scorer/metric`."""
        return f"{self.scorer}/{self.metric}"

    def has(self, rows: Sequence[int]) -> np.ndarray:
        """The questions to which the evaluations in all of these rows have a result."""
        there = ~np.isnan(self.values[rows])
        return np.asarray(there.all(axis=0) if self.value is None else there.all(axis=(0, 2)))

    def results(self, values: np.ndarray, columns: np.ndarray, rows: Sequence[int] = ()) -> Results | Sums:
        """Values of some evaluations on some questions, for the statistics.

        Args:
            values: (seeds, all questions), or (seeds, all questions, counts).
            rows: the evaluations that they come from as they are; none if they were computed from several.
        """
        if self.value is not None:
            return Sums(values[:, columns], self.clusters[columns], self.value, self.bounds)
        if not len(rows):
            return Results(values[:, columns], self.clusters[columns])
        sampling = self.sampling[rows]
        drawn = sampling[~np.isnan(sampling)]
        spread = float(drawn.mean()) if len(drawn) else float("nan")
        return Results(values[:, columns], self.clusters[columns], self.bounds, spread)


def measure(scores: pd.DataFrame, questions: Questions, facts: FactsByScorer, bounds: Mapping[str, Bounds]) -> Iterator[Measured]:
    """The matrices of every data set and metric, in order of appearance.

    Failed scores count as in means of `summaries`. A metric over all examples together has counts only of examples that did not
    fail.

    Args:
        bounds: the least and largest value of metrics that have such, as `scorer/metric`.
    """
    labels = cluster_labels(questions)
    failed = scores["value"].isna() | (scores["status"] != "ok")
    coded = pd.DataFrame({"evaluation": scores.groupby(MODEL, sort=False).ngroup(), "failed": failed})
    keys = list(scores.drop_duplicates(MODEL)[MODEL].itertuples(index=False, name=None))
    table = pd.concat([counted_where_there(scores, facts), coded], axis=1)
    for (task, sample_type), of_data in table.groupby(["task", "sample_type"], sort=False):
        dataset = (str(task), str(sample_type))
        columns = _columns(dataset, of_data["id"], questions)
        asked = [questions[*dataset, one].text if (*dataset, one) in questions else one for one in columns]
        clusters = np.array([labels.get((*dataset, one), len(labels) + place) for place, one in enumerate(columns)])
        for (scorer, metric), rows in of_data.groupby(METRIC, sort=False):
            matrix, sampling, nb_failed, places = _means(rows, columns)
            name = f"{scorer}/{metric}"
            of_scorer = facts.get(str(scorer))
            yield Measured(
                *dataset,
                str(scorer),
                str(metric),
                {keys[code]: place for code, place in places.items()},
                matrix,
                None,
                asked,
                clusters,
                sampling,
                bounds.get(name),
                of_scorer is not None and metric in of_scorer.lower_is_better,
                nb_failed,
                list(columns),
            )
        yield from _over_all(dataset, of_data, keys, columns, asked, clusters, facts, bounds)


def counted_where_there(scores: pd.DataFrame, facts: FactsByScorer) -> pd.DataFrame:
    """The scores with the values that count in means; NaN where none does."""
    return scores.assign(value=counted(scores, facts)["value"])


def cluster_labels(questions: Questions) -> dict[tuple[str, str, str], int]:
    """A number for the cluster of each test example."""
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(one.cluster for one in questions.values()))}
    return {key: numbers[one.cluster] for key, one in questions.items()}


def _columns(dataset: tuple[str, str], ids: pd.Series, questions: Questions) -> dict[str, int]:
    """The column of each test example that has a score: in the order of the scores."""
    return {str(one): place for place, one in enumerate(dict.fromkeys(ids))}


def _means(rows: pd.DataFrame, columns: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, int]]:
    """Means over the samples of each answer, their spread, failures, and the row of each evaluation by its code."""
    codes, present = pd.factorize(rows["evaluation"])
    shape = (len(present), len(columns))
    values = rows["value"].to_numpy(dtype=float)
    counts = ~np.isnan(values)
    flat = codes * shape[1] + rows["id"].map(columns).to_numpy()
    n, total = (np.bincount(flat[counts], weights, shape[0] * shape[1]) for weights in (None, values[counts]))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = total / n
        deviations = values[counts] - means[flat[counts]]
        squares = np.bincount(flat[counts], deviations**2, len(n))
        spread = np.where(n > 1, squares / (n - 1) / n, np.nan).reshape(shape)
    several = np.isfinite(spread)
    sampling = np.array([row[there].mean() if there.any() else np.nan for row, there in zip(spread, several, strict=True)])
    nb_failed = np.bincount(codes, rows["failed"].to_numpy(dtype=float), shape[0]).astype(int)
    return means.reshape(shape), sampling, nb_failed, {int(code): place for place, code in enumerate(present)}


def _over_all(
    dataset: tuple[str, str],
    of_data: pd.DataFrame,
    keys: Sequence[EvaluationKey],
    columns: Mapping[str, int],
    asked: Sequence[str],
    clusters: np.ndarray,
    facts: FactsByScorer,
    bounds: Mapping[str, Bounds],
) -> Iterator[Measured]:
    """The matrices of metrics over all examples together."""
    of_corpus = [name for name, of_scorer in facts.items() if has_corpus_metrics(of_scorer.type)]
    rows = of_data[of_data["parts"].map(bool).astype(bool) & of_data["scorer"].isin(of_corpus)]
    for scorer, own in rows.groupby("scorer", sort=False):
        codes, present = pd.factorize(own["evaluation"])
        names = sorted({name for parts in own["parts"] for name in parts})
        place = {name: i for i, name in enumerate(names)}
        counts = np.full((len(present), len(columns), len(names)), np.nan)
        for row, one, parts in zip(codes, own["id"].map(columns), own["parts"], strict=True):
            cell = counts[row, one]
            np.nan_to_num(cell, copy=False)
            for name, count in parts.items():
                cell[place[name]] += count
        failed = of_data[of_data["scorer"] == scorer].drop_duplicates(["evaluation", "id", "sample"])
        nb_failed = failed.groupby("evaluation")["failed"].sum()
        scorer_type = facts[str(scorer)].type
        for metric in corpus_metrics(scorer_type, {}):
            yield Measured(
                *dataset,
                str(scorer),
                metric,
                {keys[code]: row for row, code in enumerate(present)},
                counts,
                partial(_value, scorer_type=scorer_type, metric=metric, names=names),
                asked,
                clusters,
                np.full(len(present), np.nan),
                bounds.get(f"{scorer}/{metric}"),
                metric in facts[str(scorer)].lower_is_better,
                nb_failed.reindex(present, fill_value=0).to_numpy(dtype=int),
                list(columns),
            )


def _value(sums: np.ndarray, scorer_type: str, metric: str, names: Sequence[str]) -> np.ndarray:
    """The metric for each row of sums."""
    return np.array([corpus_metrics(scorer_type, dict(zip(names, row, strict=True)))[metric] for row in sums.tolist()])
