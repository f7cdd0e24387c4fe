"""The ranks that ways may have over all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import comb, isnan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import ASKED, INTEGERS
from loragrid.analysis.contrasts.estimates import WaysOfGrid
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.verdicts import ALPHA
from loragrid.analysis.contrasts.ways import Way, compared_ways
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.statistics.all_pairs import differences
from loragrid.analysis.statistics.families import simultaneous_level
from loragrid.analysis.statistics.intervals import mean_of, p_value_at
from loragrid.analysis.statistics.pooling import RankInterval, mean_over_tasks, pooled, rank_intervals
from loragrid.analysis.statistics.results import Estimate, Results, Sums

BY_MEAN, BY_ANSWERS = "mean", "answers"
"""What ways are ranked by: the mean over tasks of their common metric, or the share of other ways' answers that theirs beat."""

MOST_PAIRS = 6_000
"""So many pairs of ways are compared on a task, over all tasks and rankings, those of the most tasks first: a few seconds of a
processor with three seeds. What is beyond has ranks, but no intervals."""

KIND = ["base_model", "way", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", *ASKED]
"""What makes the same way on all tasks. `way` names what is not trained here; it is empty for kinds of run."""

RANKS = [
    "sample_type",
    "tasks",
    *KIND,
    "rank",
    "best_rank",
    "worst_rank",
    "ways",
    "by",
    "scorer",
    "metric",
    "lower_is_better",
    "mean",
    "low",
    "high",
    "beaten",
    "beaten_low",
    "beaten_high",
    "n",
    "clusters",
    "seeds",
]
"""The columns of `tables/ranks.csv`: a row for each way of a ranking. A ranking is about the ways that have results on all of its
`tasks`, with references of one `sample_type`."""

Kind = Way
"""A way without its task."""


class Ranking(NamedTuple):
    """Ways that have results on all of some tasks."""

    sample_type: str
    tasks: tuple[str, ...]
    kinds: list[Kind]


class Score(NamedTuple):
    """What ways are ranked by, or could be."""

    of_kinds: list[Estimate]
    """In the order of the kinds."""
    measured: list[Measured]
    """By task."""
    lower_is_better: bool


def rank_ways(ways: WaysOfGrid, measured: Sequence[Measured], main: MainMetrics) -> pd.DataFrame:
    """The table of ranks; see `RANKS`.

    Runs count on the task that they were trained for. Trivial baselines are not ranked.

    Args:
        ways, measured: of test examples.
    """
    in_main = {(one.task, one.sample_type): one for one in measured if one.name == main.of(one.task)}
    places = _places(ways, in_main)
    rows: list[dict[str, Any]] = []
    left = MOST_PAIRS
    for ranking in rankings(places):
        pairs = comb(len(ranking.kinds), 2) * len(ranking.tasks)
        rows += _rows(ranking, places, ways, in_main, has_intervals=pairs <= left)
        left -= pairs if pairs <= left else 0
    whole = dict.fromkeys(("rank", "best_rank", "worst_rank", "ways", "n", "clusters", "seeds"), "Int64")
    return pd.DataFrame(rows, columns=RANKS).astype({"nb_samples": INTEGERS["nb_samples"], "lower_is_better": bool, **whole})


def kind_of(way: Way) -> Kind:
    """The same way on any task."""
    return way._replace(task="", trained_task=None if way.trained_task is None else "", way="" if way.is_trained else way.way)


Places = Mapping[Kind, Mapping[str, Way]]
"""The way of each kind on each task. Kinds differ in the sample type of the references too."""


def _places(ways: WaysOfGrid, in_main: Mapping[tuple[str, str], Measured]) -> Places:
    """The ways that have results in the main metric of their task: a question at least that all of their seeds have one for."""
    places: dict[Kind, dict[str, Way]] = {}
    for way in compared_ways(ways):
        one = in_main.get((way.task, way.sample_type))
        rows = _row_numbers(one, way, ways) if one is not None and way.is_on_own_task else []
        if one is not None and rows and one.has(rows).any():
            places.setdefault(kind_of(way), {})[way.task] = way
    return places


def rankings(places: Places) -> Iterator[Ranking]:
    """One ranking for each set of tasks that some way has results on: of all ways that have results on these tasks.

    So a way that is missing on a task takes nothing from the others. A way by itself has no rank.
    """
    sets = dict.fromkeys((kind.sample_type, tuple(of_kind)) for kind, of_kind in places.items())
    seen = set()
    for sample_type, tasks in sorted(sets, key=lambda one: -len(one[1])):
        kinds = [kind for kind, own in places.items() if kind.sample_type == sample_type and set(tasks) <= set(own)]
        about = sample_type, frozenset(tasks)
        if len(kinds) > 1 and about not in seen:
            seen.add(about)
            yield Ranking(sample_type, tasks, kinds)


def _rows(
    ranking: Ranking, places: Places, ways: WaysOfGrid, in_main: Mapping[tuple[str, str], Measured], has_intervals: bool
) -> Iterator[dict[str, Any]]:
    measured = [in_main[task, ranking.sample_type] for task in ranking.tasks]
    members = [[places[kind][task] for kind in ranking.kinds] for task in ranking.tasks]
    if not all(_has_common_questions(one, of_task, ways) for one, of_task in zip(measured, members, strict=True)):
        return
    by_mean = _score(measured, members, ways) if len({one.name for one in measured}) == 1 else None
    single = [beaten(one, of_task, ways) for one, of_task in zip(measured, members, strict=True) if one.value is None]
    by_answers = _score(single, members, ways) if len(single) == len(measured) else None
    ranked = by_mean or by_answers
    if ranked is None:
        return
    values = np.array([one.value for one in ranked.of_kinds])
    rank = 1 + np.array([np.sum(values < own if ranked.lower_is_better else values > own) for own in values])
    intervals = _intervals(ranked, members, ways) if has_intervals else None
    common = {"sample_type": ranking.sample_type, "tasks": ", ".join(ranking.tasks), "ways": len(ranking.kinds)}
    common |= {"by": BY_MEAN if by_mean else BY_ANSWERS, "lower_is_better": ranked.lower_is_better}
    if by_mean:
        common |= {"scorer": measured[0].scorer, "metric": measured[0].metric}
    for place in sorted(range(len(values)), key=lambda place: (isnan(values[place]), rank[place])):
        kind, one = ranking.kinds[place], ranked.of_kinds[place]
        row = common | {name: getattr(kind, name) for name in KIND} | {"n": one.questions, "clusters": one.clusters}
        row["seeds"] = one.seeds if kind.is_trained else 0
        if not isnan(values[place]):
            row["rank"] = int(rank[place])
        if intervals is not None:
            row |= {"best_rank": intervals[place].best, "worst_rank": intervals[place].worst}
        if by_mean:
            row |= _figures(by_mean.of_kinds[place], "mean", "low", "high")
        if by_answers:
            row |= _figures(by_answers.of_kinds[place], "beaten", "beaten_low", "beaten_high")
        yield row


def _figures(one: Estimate, value: str, low: str, high: str) -> dict[str, float]:
    return {value: one.value, low: one.low, high: one.high}


def _score(measured: Sequence[Measured], members: Sequence[Sequence[Way]], ways: WaysOfGrid) -> Score:
    """The mean over tasks of each kind, on the questions that all of them have a result for."""
    common = [_on_common_questions(one, of_task, ways) for one, of_task in zip(measured, members, strict=True)]
    of_kinds = []
    for place in range(len(members[0])):
        of_tasks = [mean_of(_results(one, of_task[place], ways)) for one, of_task in zip(common, members, strict=True)]
        of_kinds.append(of_tasks[0] if len(of_tasks) == 1 else mean_over_tasks(of_tasks))
    return Score(of_kinds, common, measured[0].lower_is_better)


def _row_numbers(measured: Measured, way: Way, ways: WaysOfGrid) -> list[int]:
    """The rows of a way's seeds."""
    return [measured.rows[key] for _, key in sorted(ways[way].items()) if key in measured.rows]


def _common_columns(measured: Measured, members: Sequence[Way], ways: WaysOfGrid) -> np.ndarray:
    return measured.has([row for way in members for row in _row_numbers(measured, way, ways)])


def _has_common_questions(measured: Measured, members: Sequence[Way], ways: WaysOfGrid) -> bool:
    """Whether there is a question that all ways have a result for: without one, nothing can be compared."""
    return bool(_common_columns(measured, members, ways).any())


def _on_common_questions(measured: Measured, members: Sequence[Way], ways: WaysOfGrid) -> Measured:
    columns = _common_columns(measured, members, ways)
    questions = [text for text, is_there in zip(measured.questions, columns, strict=True) if is_there]
    return measured._replace(values=measured.values[:, columns], questions=questions, clusters=measured.clusters[columns])


def _results(measured: Measured, way: Way, ways: WaysOfGrid) -> Results | Sums:
    rows = _row_numbers(measured, way, ways)
    return measured.results(measured.values[rows], np.arange(len(measured.questions)), rows)


def beaten(measured: Measured, members: Sequence[Way], ways: WaysOfGrid) -> Measured:
    """For each answer the share of the other ways whose answers to the same question are worse; ties count half.

    Of another way with several seeds, the share of its answers counts. The mean over questions is the relative effect of Brunner
    & Munzel (2000), and but for its scale the mean rank of Friedman (1937): it needs no scale that metrics have in common.
    """
    rows = [_row_numbers(measured, way, ways) for way in members]
    values = -measured.values if measured.lower_is_better else measured.values
    shares = np.full(values.shape, np.nan)
    every, seeds = [row for of_way in rows for row in of_way], np.array([len(of_way) for of_way in rows])
    of_all, first = values[every], np.cumsum(seeds) - seeds
    for own, of_own in enumerate(rows):
        for row in of_own:
            won = (values[row] > of_all) + 0.5 * (values[row] == of_all)
            of_ways = np.add.reduceat(won, first, axis=0) / seeds[:, None]
            shares[row] = np.delete(of_ways, own, axis=0).mean(axis=0)
    there = measured.has(every)
    shares[:, ~there] = np.nan
    return measured._replace(values=shares, bounds=(0.0, 1.0), lower_is_better=False, sampling=np.full(len(shares), np.nan))


def _intervals(score: Score, members: Sequence[Sequence[Way]], ways: WaysOfGrid) -> list[RankInterval]:
    """The ranks that each kind may have, all together: from all pairwise differences, whose intervals hold together.

    Rank intervals from simultaneous intervals of differences (Klein, Wright & Wieczorek 2020; Mogstad, Romano, Shaikh & Wilhelm
    2024; here all pairs as Mohamad, Goeman & van Zwet 2022). Ranks are not resampled: where ways are nearly alike, the ranks of
    the bootstrap cover too seldom (Hall & Miller 2009). The claim is about these tasks; each counts alike.
    """
    number = len(score.of_kinds)
    pairs = list(combinations(range(number), 2))
    by_task = [_differences(one, of_task, pairs, ways) for one, of_task in zip(score.measured, members, strict=True)]
    estimates = [of_tasks[0] if len(of_tasks) == 1 else pooled(of_tasks) for of_tasks in zip(*by_task, strict=True)]
    estimates = [one._replace(p_value=p_value_at(one, 0.0)) for one in estimates]
    level = simultaneous_level(estimates, ALPHA)
    good = -1 if score.lower_is_better else 1
    # An interval of this level excludes 0 where the p-value is smaller.
    signs = {
        pair: good * int(np.sign(one.value)) if one.p_value < 1 - level else 0 for pair, one in zip(pairs, estimates, strict=True)
    }
    return rank_intervals(number, signs)


def _differences(
    measured: Measured, members: Sequence[Way], pairs: Sequence[tuple[int, int]], ways: WaysOfGrid
) -> list[Estimate]:
    """The differences of pairs on one task. The same seeds of trained ways belong together."""
    trained = [{seed for seed, key in ways[way].items() if key in measured.rows} for way in members if way.is_trained]
    have_same_seeds = len(trained) > 1 and all(seeds == trained[0] for seeds in trained)
    of_ways = [_results(measured, way, ways) for way in members]
    return differences(of_ways, pairs, matched_seeds=have_same_seeds)
