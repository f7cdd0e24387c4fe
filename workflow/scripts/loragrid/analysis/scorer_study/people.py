"""Judges and other scorers against people: how far they agree, and what people would say of all answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.contrasts.ways import base_of
from loragrid.analysis.scorer_study.answers import DATASET, Answered, Metric
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.statistics.levels import Level
from loragrid.analysis.statistics.ppi import corrected_mean
from loragrid.analysis.statistics.rater_agreement import agreement_of_two

CRITERION = ["people", "criterion"]
"""A scorer of people's ratings and one of its metrics."""


AGREEMENT = [*DATASET, *Metric._fields, *CRITERION, "level", "percent_agreement", "kappa", "kappa_low", "kappa_high"]
AGREEMENT += ["alpha", "alpha_low", "alpha_high", "ratings", "answers", "clusters", "annotators"]
"""The columns of `tables/judge_agreement.csv`: a row per data set, metric and criterion with the same values."""


CORRECTED = [*MODEL, *Metric._fields, *CRITERION, "against", "rated", "judged", "clusters", "judge_mean"]
CORRECTED += ["people_mean", "people_low", "people_high", "corrected_mean", "low", "high", "standard_error", "weight", "worth"]
"""The columns of `tables/judge_corrected.csv`: a row per model, data set, metric and criterion.

With `base` in `against`, it is about the difference from the base model."""


class Rated(NamedTuple):
    """Each rating of one criterion, once for each text and annotator."""

    answers: np.ndarray
    """(ratings,): the answer that is rated."""
    ratings: np.ndarray
    annotators: int


def agreement_with_people(datasets: Sequence[Answered], settings: AnalysisSettings) -> pd.DataFrame:
    """How far each metric agrees with people's ratings, where it gives no other values than people can."""
    rows = [row for one in datasets for row in _agreement(one, settings)]
    return pd.DataFrame(rows, columns=AGREEMENT)


def _agreement(one: Answered, settings: AnalysisSettings) -> Iterator[tuple[object, ...]]:
    candidates = [metric for metric in one.of_kind("metric", "judge") if not _lower_is_better(metric, settings)]
    for criterion in _criteria(one):
        rated = ratings_of(one, criterion)
        known = known_values(criterion, settings)
        level: Level = settings.levels.get(criterion.scorer, {}).get(criterion.metric, "ordinal")
        for metric in candidates:
            given = one.column(metric)
            has_both = np.isfinite(given[rated.answers])
            answers, ratings = rated.answers[has_both], rated.ratings[has_both]
            if not len(answers) or not set(given[np.isfinite(given)]) <= (known or set(ratings)):
                continue
            found = agreement_of_two(given[answers], ratings, one.clusters[answers], level)
            counts = len(ratings), len(set(one.texts[answers])), found.kappa.clusters, rated.annotators
            figures = level, found.percent, *found.kappa[:3], *found.alpha[:3]
            yield (one.task, one.sample_type, *metric, *criterion[:2], *figures, *counts)


def _lower_is_better(metric: Metric, settings: AnalysisSettings) -> bool:
    return metric.scorer in settings.kinds and metric.metric in settings.kinds[metric.scorer].lower_is_better


def _criteria(one: Answered) -> list[Metric]:
    """People's metrics, without the mean over criteria, which nobody chose."""
    return [metric for metric in one.of_kind("people") if metric.metric != "mean"]


def known_values(criterion: Metric, settings: AnalysisSettings) -> set[float]:
    """The values of a criterion that people can choose; none if nobody says."""
    sheets = settings.sheets.get(criterion.scorer)
    return set(sheets.settings.values.get(criterion.metric, ())) if sheets else set()


def ratings_of(one: Answered, criterion: Metric) -> Rated:
    """The ratings of a criterion: by each annotator, if that is known. Models that say the same were rated once."""
    given: dict[tuple[int, str], tuple[int, float]] = {}
    of_annotators: Mapping[int, Mapping[str, float]] = one.parts.get(criterion.scorer, {})
    for answer, parts in of_annotators.items():
        for key, value in parts.items():
            name, annotator, row = key.split("/")
            if name == criterion.metric:
                given.setdefault((one.texts[answer], f"{annotator}/{row}"), (answer, value))
    annotators = len({annotator.split("/")[0] for _, annotator in given})
    if not of_annotators:
        means = one.column(criterion)
        for place in np.flatnonzero(np.isfinite(means)).tolist():
            given.setdefault((one.texts[place], ""), (place, float(means[place])))
        annotators = min(len(given), 1)
    answers, ratings = zip(*given.values(), strict=True) if given else ((), ())
    return Rated(np.array(answers, dtype=int), np.array(ratings, dtype=float), annotators)


def corrected_by_people(datasets: Sequence[Answered]) -> pd.DataFrame:
    """What people would say on average of each model, from a metric of all of its answers and their ratings of a part."""
    rows = [row for one in datasets for row in _corrected(one)]
    return pd.DataFrame(rows, columns=CORRECTED)


def _corrected(one: Answered) -> Iterator[tuple[object, ...]]:
    places = {key: place for place, key in enumerate(one.all_runs)}
    base_places = {place: _base_place(one, place, places) for place in places.values()}
    nb_questions = int(one.questions.max()) + 1
    of_question = np.zeros(nb_questions, dtype=int)
    of_question[one.questions] = one.clusters
    # By question, as means over samples; people rated a question where they rated all samples.
    cells, size = one.runs * nb_questions + one.questions, len(places) * nb_questions
    counts = np.bincount(cells, minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {
            metric: (np.bincount(cells, one.column(metric), size) / counts).reshape(-1, nb_questions) for metric in one.metrics
        }
    for criterion in one.of_kind("people"):
        for metric in one.of_kind("judge", "metric"):
            ratings, judged = means[criterion], means[metric]
            for key, own in places.items():
                base = base_places[own]
                sides = [("", ratings[own], judged[own])]
                sides += [] if base is None else [("base", ratings[own] - ratings[base], judged[own] - judged[base])]
                for against, of_people, of_metric in sides:
                    found = corrected_mean(of_people, of_metric, of_question)
                    # If all answers are rated, nothing is left to correct.
                    if 0 < found.rated < found.judged:
                        figures = (*found.people[:3], *found.mean[:4], found.weight, found.worth)
                        counts_ = found.rated, found.judged, found.people.clusters, found.judge
                        yield (*key, *metric, *criterion[:2], against, *counts_, *figures)


def _base_place(one: Answered, place: int, places: Mapping[tuple[str, ...], int]) -> int | None:
    """The place of the base model of a run, asked alike."""
    way = one.all_ways[one.ways[np.argmax(one.runs == place)]]
    base = base_of(way)
    return None if base is None else places.get(tuple(map(str, base[: len(MODEL)])))
