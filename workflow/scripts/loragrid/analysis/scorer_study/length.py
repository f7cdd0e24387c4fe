"""What is left of differences from the base model at equal length of answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from loragrid.analysis.contrasts.columns import WAY
from loragrid.analysis.contrasts.ways import Way, base_of
from loragrid.analysis.scorer_study.answers import Answered, Metric
from loragrid.analysis.statistics.equal_length import at_equal_length

EQUAL_LENGTH = [*WAY, *Metric._fields, "difference", "low", "high"]
EQUAL_LENGTH += ["at_equal_length", "at_equal_length_low", "at_equal_length_high", "slope"]
EQUAL_LENGTH += ["characters", "base_characters", "longer", "n", "clusters", "seeds"]
"""The columns of `tables/equal_length.csv`: a row per way that has a base model, data set and metric."""


def differences_at_equal_length(datasets: Sequence[Answered]) -> pd.DataFrame:
    """Each way minus its base model on the same questions, as it is, and had the answers been of the same length."""
    rows = [row for one in datasets for row in _of_dataset(one)]
    return pd.DataFrame(rows, columns=EQUAL_LENGTH).astype({"nb_samples": "Int64"})


def _of_dataset(one: Answered) -> Iterator[tuple[object, ...]]:
    metrics = one.of_kind("metric", "judge", "people")
    nb_questions = int(one.questions.max()) + 1
    of_question = np.zeros(nb_questions, dtype=int)
    of_question[one.questions] = one.clusters
    place = {way: i for i, way in enumerate(one.all_ways)}
    seeds = np.array([len(set(one.runs[one.ways == i])) for i in range(len(place))])
    cells = one.ways * nb_questions + one.questions
    shape = (len(place), nb_questions)
    lengths = _means(one.characters, cells, shape)
    for metric in metrics:
        # A question counts where each answer to it has a score: means over other seeds would be other means.
        values = _means(one.column(metric), cells, shape)
        for own, base in _with_base(place):
            both = np.isfinite(values[own] - values[base])
            if not both.any():
                continue
            more = (lengths[own] - lengths[base])[both]
            found = at_equal_length((values[own] - values[base])[both], more, of_question[both])
            of_lengths = [float(lengths[i][both].mean()) for i in (own, base)]
            counts = int(both.sum()), found.difference.clusters, int(seeds[own])
            figures = (*found.difference[:3], *found.at_equal_length[:3], found.slope)
            yield (*one.all_ways[own], *metric, *figures, *of_lengths, found.longer, *counts)


def _with_base(place: dict[Way, int]) -> Iterator[tuple[int, int]]:
    for way, own in place.items():
        base = base_of(way)
        if base in place:
            yield own, place[base]


def _means(values: np.ndarray, cells: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The mean of all answers of a way to a question; NaN where one has no score."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.bincount(cells, values, shape[0] * shape[1]) / np.bincount(cells, minlength=shape[0] * shape[1])
    return np.asarray(means.reshape(shape))
