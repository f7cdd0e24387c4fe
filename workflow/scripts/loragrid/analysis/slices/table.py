"""The table of slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import INTEGERS, METRIC, MODEL
from loragrid.analysis.contrasts.columns import WAY
from loragrid.analysis.contrasts.estimates import WaysOfGrid
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.verdicts import ALPHA
from loragrid.analysis.contrasts.ways import EvaluationKey, Way, compared_ways
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.slices.divisions import CUT_OFF, Division
from loragrid.analysis.statistics.against_rest import against_rest
from loragrid.analysis.statistics.families import benjamini_hochberg
from loragrid.analysis.statistics.intervals import mean_of
from loragrid.analysis.statistics.results import Results

FIGURES = ["mean", "low", "high", "n", "clusters", "seeds"]
AGAINST_REST = ["rest_mean", "difference", "difference_low", "difference_high", "p_value", "p_adjusted"]
SLICES = [*WAY, *METRIC, "lower_is_better", "by", "key", "slice", "place", *FIGURES, *AGAINST_REST, "worst"]
"""The columns of `tables/slices.csv`: a row for each way and slice, in the main metric of the task. `place` orders the slices
of a division. `worst` marks the slice on which a way does worst, where a difference is left after heeding how many there are."""

CUT, WHOLE_ANSWERS = "cut off", "whole"


class _Part(NamedTuple):
    """A slice of one way's results, and the rest."""

    name: str
    inside: Results
    outside: Results
    whole: Results


def slice_ways(
    ways: WaysOfGrid,
    measured: Sequence[Measured],
    divisions: Mapping[tuple[str, str], Sequence[Division]],
    predictions: pd.DataFrame,
    main: MainMetrics,
) -> pd.DataFrame:
    """The table of slices. Trivial baselines are left out, and metrics over all examples together.

    Args:
        divisions: of each data set, by task and sample type.
        predictions: a row for each answer.
    """
    by_data: dict[tuple[str, str], list[Way]] = {}
    for way in compared_ways(ways):
        by_data.setdefault((way.task, way.sample_type), []).append(way)
    cut_off = _cut_off(predictions)
    rows: list[dict[str, Any]] = []
    for one in measured:
        if one.name == main.of(one.task) and one.value is None:
            dataset = one.task, one.sample_type
            of_data = [
                row for way in by_data.get(dataset, ()) for row in _of_way(one, way, ways, divisions.get(dataset, ()), cut_off)
            ]
            rows += _marked(of_data, one.lower_is_better)
    whole = dict.fromkeys(("place", "n", "clusters", "seeds"), "Int64")
    table = pd.DataFrame(rows, columns=SLICES)
    return table.astype({"nb_samples": INTEGERS["nb_samples"], "lower_is_better": bool, "worst": bool, **whole})


def _cut_off(predictions: pd.DataFrame) -> dict[EvaluationKey, set[str]]:
    """The questions to which an answer, or a part or sample of it, reached the length limit, by evaluation."""
    rows = predictions.loc[predictions["finish_reason"] == "length", [*MODEL, "id"]]
    found: dict[EvaluationKey, set[str]] = {}
    for *key, one in rows.itertuples(index=False, name=None):
        found.setdefault(tuple(map(str, key)), set()).add(str(one))
    return found


def _of_way(
    measured: Measured,
    way: Way,
    ways: WaysOfGrid,
    divisions: Sequence[Division],
    cut_off: Mapping[EvaluationKey, set[str]],
) -> Iterator[dict[str, Any]]:
    """The rows of one way."""
    keys = [key for _, key in sorted(ways[way].items()) if key in measured.rows]
    rows = [measured.rows[key] for key in keys]
    if not rows:
        return
    columns = np.flatnonzero(measured.has(rows))
    ids = [measured.ids[int(column)] for column in columns]
    results = measured.results(measured.values[rows], columns, rows)
    assert isinstance(results, Results)
    named = way._asdict() | {"scorer": measured.scorer, "metric": measured.metric, "lower_is_better": measured.lower_is_better}
    named["seeds"] = len(rows) if way.is_trained else 0
    for division in divisions:
        about = {"by": division.by, "key": division.key}
        for place, part in enumerate(_parts(results, ids, division)):
            yield named | about | {"place": place} | _figures(part)
    is_cut = np.array([[one in cut_off.get(key, ()) for one in ids] for key in keys]).reshape(len(keys), len(ids))
    for place, part in enumerate(_by_answers(results, is_cut)):
        yield named | {"by": CUT_OFF, "key": "", "place": place} | _figures(part)


def _parts(results: Results, ids: Sequence[str], division: Division) -> Iterator[_Part]:
    of_question = np.array([division.of_question[one] for one in ids], dtype=object)
    for name in division.slices:
        inside = of_question == name
        if inside.any() and not inside.all():
            yield _Part(name, _only(results, inside), _only(results, ~inside), results)


def _only(results: Results, questions: np.ndarray) -> Results:
    return results._replace(values=results.values[:, questions], clusters=results.clusters[questions])


def _by_answers(results: Results, is_cut: np.ndarray) -> Iterator[_Part]:
    """Answers that were cut off, and the others. With several seeds, a question may have some of both; each side has their mean.

    Args:
        is_cut: (seeds, questions)
    """
    if is_cut.all() or not is_cut.any():
        return
    whole = results._replace(values=results.values.mean(axis=0, keepdims=True))
    cut, others = _mean_where(results, is_cut), _mean_where(results, ~is_cut)
    yield _Part(CUT, cut, others, whole)
    yield _Part(WHOLE_ANSWERS, others, cut, whole)


def _mean_where(results: Results, chosen: np.ndarray) -> Results:
    there = chosen.any(axis=0)
    means = np.where(chosen, results.values, 0.0).sum(axis=0)[there] / chosen.sum(axis=0)[there]
    return results._replace(values=means[None], clusters=results.clusters[there])


def _figures(part: _Part) -> dict[str, Any]:
    mean, against = mean_of(part.inside), against_rest(part.inside, part.outside, part.whole)
    return {
        "slice": part.name,
        **{"mean": mean.value, "low": mean.low, "high": mean.high, "n": mean.questions, "clusters": mean.clusters},
        "rest_mean": float(part.outside.values.mean()),
        **{"difference": against.value, "difference_low": against.low, "difference_high": against.high},
        "p_value": against.p_value,
    }


def _marked(rows: Sequence[dict[str, Any]], lower_is_better: bool) -> Iterator[dict[str, Any]]:
    """The rows of a data set with p-values adjusted for all of its ways and slices, the worst slice of each way marked."""
    adjusted = benjamini_hochberg([row["p_value"] for row in rows])
    bad = 1 if lower_is_better else -1
    worst: dict[Way, tuple[float, int]] = {}
    for place, (row, p_value) in enumerate(zip(rows, adjusted, strict=True)):
        size = bad * row["difference"]
        way = Way(**{name: row[name] for name in Way._fields})
        if size > 0 and p_value <= ALPHA:
            worst[way] = max(worst.get(way, (size, place)), (size, place), key=lambda found: found[0])
    marked = {place for _, place in worst.values()}
    for place, (row, p_value) in enumerate(zip(rows, adjusted, strict=True)):
        yield row | {"p_adjusted": float(p_value), "worst": place in marked}
