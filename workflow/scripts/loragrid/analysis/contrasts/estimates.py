"""How far two ways differ in one metric, on the questions that both have answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from loragrid.analysis.contrasts.asked import Wanted
from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.pairs import Contrast, Terms
from loragrid.analysis.contrasts.ways import EvaluationKey, Members, Way
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.statistics.intervals import difference_of
from loragrid.analysis.statistics.results import Estimate, Results, Sums

WaysOfGrid = Mapping[Way, Members]


class Found(NamedTuple):
    """A contrast in one metric."""

    contrast: Contrast
    scorer: str
    metric: str
    lower_is_better: bool
    means: tuple[float, float]
    estimate: Estimate
    family: str
    nb_failed: tuple[int, int]
    nb_cut_off: tuple[int, int]
    over_tasks: str | None = None
    """The family of its mean over tasks; None: it is not made."""
    tasks: tuple[str, ...] = ()
    """Of a contrast over several tasks."""

    @property
    def name(self) -> str:
        """The metric, as `scorer/metric`."""
        return f"{self.scorer}/{self.metric}"


class Side(NamedTuple):
    """One side of a contrast: a way, or a weighted sum of ways."""

    weights: list[float]
    rows: list[list[int]]
    """The row of each way's evaluations, in the order of the seeds."""
    keys: list[EvaluationKey]
    is_trained: bool

    @property
    def all_rows(self) -> list[int]:
        """The rows of all evaluations."""
        return [row for rows in self.rows for row in rows]


def find(
    wanted: Sequence[Wanted],
    ways: WaysOfGrid,
    measured: Sequence[Measured],
    cut_off: Mapping[EvaluationKey, int],
    main: MainMetrics,
) -> Iterator[Found]:
    """Each wanted contrast in each of its metrics, where both sides have results on common questions.

    Args:
        cut_off: how many answers of each evaluation reached the length limit.
        main: the main metric of each task.
    """
    by_data: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        by_data.setdefault((one.task, one.sample_type), []).append(one)
    for contrast, metrics, family, over_tasks in wanted:
        own, other = contrast.plus[0][1], contrast.minus[0][1]
        others = {one.name: one for one in by_data.get((other.task, other.sample_type), [])}
        for one in by_data.get((own.task, own.sample_type), []):
            if (metrics is None or one.name in metrics) and one.name in others:
                is_declared = metrics is not None or one.name == main.of(one.task)
                families = (family, over_tasks) if is_declared else (EXPLORATORY, None)
                yield from _found(contrast, families, one, others[one.name], ways, cut_off)


def _found(
    contrast: Contrast,
    families: tuple[str, str | None],
    one: Measured,
    another: Measured,
    ways: WaysOfGrid,
    cut_off: Mapping[EvaluationKey, int],
) -> Iterator[Found]:
    is_single = contrast.kind == "difference"
    if not is_single and one.value is not None:
        # A metric over all examples together is no mean that can be added up.
        return
    seeds = common_seeds(contrast, one, another, ways)
    if not seeds and not is_single and any(way.is_trained for way in contrast.ways):
        return
    own, other = _side(contrast.plus, one, ways, seeds), _side(contrast.minus, another, ways, seeds)
    if own is None or other is None:
        return
    columns = common_questions(one, another, own, other)
    if not len(columns[0]):
        return
    first = one.results(_values(one, own), columns[0], own.all_rows if is_single else ())
    second = another.results(_values(another, other), columns[1], other.all_rows if is_single else ())
    if one is not another:
        second = second._replace(clusters=first.clusters)
    are_trained = own.is_trained and other.is_trained
    estimate = difference_of(first, second, matched_seeds=bool(seeds) and are_trained)
    if are_trained:
        # A claim about trainings of this kind needs several of each.
        estimate = estimate._replace(seeds=min(len(side.rows[0]) for side in (own, other)))
    # The sides of a slope are parts of its sum, and no means.
    means = (nan, nan) if contrast.kind == "slope" else (_mean(first), _mean(second))
    yield Found(
        contrast,
        one.scorer,
        one.metric,
        one.lower_is_better,
        means,
        estimate,
        families[0],
        (int(one.nb_failed[own.all_rows].sum()), int(another.nb_failed[other.all_rows].sum())),
        (sum(cut_off.get(key, 0) for key in own.keys), sum(cut_off.get(key, 0) for key in other.keys)),
        families[1],
    )


def common_seeds(contrast: Contrast, one: Measured, another: Measured, ways: WaysOfGrid) -> list[int]:
    """The seeds with which all trained ways of a contrast have results.

    Of ways with some seeds in common, these are compared. Two ways without a common seed are compared as they are.
    """
    sides = (contrast.plus, one), (contrast.minus, another)
    there = [
        {seed for seed, key in ways[way].items() if key in measured.rows}
        for terms, measured in sides
        for _, way in terms
        if way.is_trained
    ]
    return sorted(there[0].intersection(*there[1:])) if there else []


def _side(terms: Terms, measured: Measured, ways: WaysOfGrid, seeds: Sequence[int]) -> Side | None:
    side = Side([], [], [], terms[0][1].is_trained)
    for weight, way in terms:
        chosen = seeds if seeds and way.is_trained else sorted(ways[way])
        keys = [ways[way][seed] for seed in chosen if ways[way][seed] in measured.rows]
        if not keys:
            return None
        side.weights.append(weight)
        side.rows.append([measured.rows[key] for key in keys])
        side.keys.extend(keys)
    return side


def _values(measured: Measured, side: Side) -> np.ndarray:
    """(seeds, all questions): of a way, or the weighted sum of several with the same seeds."""
    if len(side.rows) == 1 and side.weights == [1.0]:
        return np.asarray(measured.values[side.rows[0]])
    return np.asarray(sum(weight * measured.values[rows] for weight, rows in zip(side.weights, side.rows, strict=True)))


def common_questions(one: Measured, another: Measured, own: Side, other: Side) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the questions to which all evaluations of both sides have a result.

    Examples of different data sets are paired by what they ask, where only one example of each asks it.
    """
    if one is another:
        columns = np.flatnonzero(one.has([*own.all_rows, *other.all_rows]))
        return columns, columns
    places = [_asked_once(measured, side) for measured, side in ((one, own), (another, other))]
    asked = [text for text in places[0] if text in places[1]]
    return np.array([places[0][text] for text in asked], int), np.array([places[1][text] for text in asked], int)


def _asked_once(measured: Measured, side: Side) -> dict[str, int]:
    """The column of each question that only one example asks, and that all evaluations have a result for."""
    places: dict[str, list[int]] = {}
    for place, text in enumerate(measured.questions):
        places.setdefault(text, []).append(place)
    there = measured.has(side.all_rows)
    return {text: own[0] for text, own in places.items() if len(own) == 1 and there[own[0]]}


def _mean(results: Results | Sums) -> float:
    """The mean over seeds."""
    if isinstance(results, Sums):
        return float(results.value(results.counts.sum(axis=1)).mean())
    return float(results.values.mean())
