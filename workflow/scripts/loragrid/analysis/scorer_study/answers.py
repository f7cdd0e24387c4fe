"""What each scorer says about each answer to the questions of one data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import EVALUATED, METRIC, MODEL
from loragrid.analysis.contrasts.matrices import cluster_labels, counted_where_there
from loragrid.analysis.contrasts.questions import Questions
from loragrid.analysis.contrasts.ways import EvaluationKey, Way, ways_of
from loragrid.analysis.settings import FactsByScorer
from loragrid.layout import BASELINE
from loragrid.scoring.registry import kind_of
from loragrid.scoring.scorer import Kind

DATASET = EVALUATED[1:]


ANSWER = [*MODEL, "id", "sample"]


class Metric(NamedTuple):
    """A column of scores. The columns of tables about it have these names."""

    scorer: str
    metric: str
    kind: Kind


CHARACTERS = Metric("", "characters", "length")
"""The length of answers, which no scorer needs to give."""


class Answered(NamedTuple):
    """The answers of all models to the questions of one data set.

    Those of trivial baselines are left out: nearly every scorer tells them from models.
    """

    task: str
    sample_type: str
    metrics: Sequence[Metric]
    scores: np.ndarray
    """(answers, metrics); NaN where there is none."""
    characters: np.ndarray
    """(answers,): their lengths."""
    questions: np.ndarray
    """(answers,): an integer for each question."""
    clusters: np.ndarray
    """(answers,): an integer for each cluster of questions, comparable over data sets."""
    ways: np.ndarray
    """(answers,): the place in `all_ways`."""
    all_ways: Sequence[Way]
    runs: np.ndarray
    """(answers,): the place in `all_runs`."""
    all_runs: Sequence[EvaluationKey]
    texts: np.ndarray
    """(answers,): an integer for each question and text; models that say the same share it."""
    parts: Mapping[str, Mapping[int, Mapping[str, float]]]
    """For each scorer of people's ratings, the ratings of an answer by `criterion/annotator/row of the sheet`."""

    def column(self, metric: Metric) -> np.ndarray:
        """What a metric says about each answer."""
        return self.characters if metric == CHARACTERS else self.scores[:, list(self.metrics).index(metric)]

    def of_kind(self, *kinds: Kind) -> list[Metric]:
        """The metrics of some kinds."""
        return [metric for metric in self.metrics if metric.kind in kinds]


def answered(scores: pd.DataFrame, predictions: pd.DataFrame, questions: Questions, facts: FactsByScorer) -> Iterator[Answered]:
    """The answers to each data set. Failed scores count as in means; where they are left out of means, there is no score."""
    asked = predictions[predictions["base_model"] != BASELINE]
    scored = counted_where_there(scores[scores["base_model"] != BASELINE], facts)
    kinds = {name: kind_of(of_scorer.type) for name, of_scorer in facts.items()}
    labels = cluster_labels(questions)
    by_dataset = dict(list(scored.groupby(DATASET, sort=False)))
    for (task, sample_type), own in asked.groupby(DATASET, sort=False):
        of_scores = by_dataset.get((task, sample_type))
        if of_scores is not None:
            yield _answered(str(task), str(sample_type), own, of_scores, labels, kinds)


def _answered(
    task: str,
    sample_type: str,
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    labels: Mapping[tuple[str, str, str], int],
    kinds: Mapping[str, Kind],
) -> Answered:
    both = pd.concat([predictions[ANSWER], scores[ANSWER]]).groupby(ANSWER, sort=False).ngroup().to_numpy()
    of_parts, of_scores = both[: len(predictions)], both[len(predictions) :]
    is_first = ~pd.Series(of_parts).duplicated().to_numpy()
    answers, n = predictions[is_first], int(is_first.sum())
    is_known = of_scores < n
    columns, names = pd.MultiIndex.from_frame(scores[METRIC]).factorize()
    values = np.full((n, len(names)), np.nan)
    values[of_scores[is_known], columns[is_known]] = scores["value"].to_numpy(dtype=float)[is_known]
    ids, all_ids = pd.factorize(answers["id"])
    clusters = np.array([labels.get((task, sample_type, str(one)), len(labels) + place) for place, one in enumerate(all_ids)])
    runs, all_runs = _runs(answers)
    ways = ways_of(answers)
    way_of_run = {key: place for place, members in enumerate(ways.values()) for key in members.values()}
    return Answered(
        task,
        sample_type,
        [Metric(str(scorer), str(metric), kinds.get(str(scorer), "metric")) for scorer, metric in names],
        values,
        np.bincount(of_parts, predictions["prediction"].str.len().to_numpy(dtype=float), n),
        ids,
        clusters[ids],
        np.array([way_of_run[key] for key in all_runs])[runs],
        list(ways),
        runs,
        all_runs,
        _texts(predictions, of_parts, ids),
        _ratings(scores[is_known], of_scores[is_known], kinds),
    )


def _runs(answers: pd.DataFrame) -> tuple[np.ndarray, list[EvaluationKey]]:
    codes, keys = pd.MultiIndex.from_frame(answers[MODEL]).factorize()
    return codes, [tuple(map(str, key)) for key in keys]


def _texts(predictions: pd.DataFrame, of_parts: np.ndarray, ids: np.ndarray) -> np.ndarray:
    texts = (
        predictions["prediction"].groupby(of_parts).agg("\n".join) if len(predictions) > len(ids) else predictions["prediction"]
    )
    codes, _ = pd.factorize(texts)
    return np.asarray(pd.factorize(ids.astype(np.int64) * (codes.max(initial=0) + 1) + codes)[0])


def _ratings(scores: pd.DataFrame, of_scores: np.ndarray, kinds: Mapping[str, Kind]) -> dict[str, dict[int, Mapping[str, float]]]:
    people = [name for name, kind in kinds.items() if kind == "people"]
    rows = scores["scorer"].isin(people).to_numpy()
    ratings: dict[str, dict[int, Mapping[str, float]]] = {}
    for scorer, answer, parts in zip(scores["scorer"][rows], of_scores[rows], scores["parts"][rows], strict=True):
        if parts:
            ratings.setdefault(str(scorer), {})[int(answer)] = parts
    return ratings
