"""The tables of ways and of contrasts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import INTEGERS, MODEL
from loragrid.analysis.contrasts.asked import wanted_contrasts
from loragrid.analysis.contrasts.columns import CONTRASTS, SPREADS, WAYS
from loragrid.analysis.contrasts.conclusions import Conclusion, conclude
from loragrid.analysis.contrasts.estimates import WaysOfGrid, find
from loragrid.analysis.contrasts.matrices import Measured, measure
from loragrid.analysis.contrasts.over_tasks import over_tasks
from loragrid.analysis.contrasts.questions import Questions
from loragrid.analysis.contrasts.sentences import sentence, varying_axes
from loragrid.analysis.contrasts.ways import EvaluationKey, Way, ways_of
from loragrid.analysis.main_table.standings import standings
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.statistics.intervals import mean_of
from loragrid.layout import BASELINE


class Answers(NamedTuple):
    """What is known of the answers of each evaluation."""

    number: Mapping[EvaluationKey, int]
    cut_off: Mapping[EvaluationKey, int]
    """Those that reached the length limit."""


class Baseline(NamedTuple):
    """The best trivial baseline on a data set in a metric."""

    name: str | None
    mean: float


def compare_ways(
    scores: pd.DataFrame, predictions: pd.DataFrame, questions: Questions, settings: AnalysisSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of ways and of contrasts."""
    return compare_measured(list(measure(scores, questions, settings.kinds, settings.bounds)), predictions, settings)


def compare_measured(
    measured: Sequence[Measured], predictions: pd.DataFrame, settings: AnalysisSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As `compare_ways`, of scores that are measured already."""
    main, ways = settings.main, ways_of(predictions)
    answers = answers_of(predictions)
    baselines = {(one.task, one.sample_type, one.name): best_baseline(one) for one in measured}
    wanted = wanted_contrasts(list(ways), settings.comparisons, main, len({one.name for one in measured}))
    found = list(find(wanted, ways, measured, answers.cut_off, main))
    found += over_tasks(found)
    conclusions = conclude(found, settings.smallest_difference)
    varying = varying_axes(ways)
    rows = [contrast_row(one, varying, baselines) for one in conclusions]
    of_ways = list(way_rows(measured, ways, answers, baselines))
    standing = standings(of_ways, ways, measured, settings.smallest_difference)
    of_ways = [row | {"standing": found or ""} for row, found in zip(of_ways, standing, strict=True)]
    return _table(of_ways, WAYS), _table(rows, CONTRASTS)


def answers_of(predictions: pd.DataFrame) -> Answers:
    """How many answers each evaluation has, and how many were cut off."""
    cut = predictions.assign(cut=predictions["finish_reason"] == "length").groupby(MODEL, sort=False)["cut"]
    numbers, cut_off = cut.size(), cut.sum()
    return Answers(_by_key(numbers), _by_key(cut_off))


def _by_key(counts: pd.Series) -> dict[EvaluationKey, int]:
    return {tuple(map(str, key)): int(count) for key, count in counts.items()}  # type: ignore[call-overload]


def best_baseline(measured: Measured) -> Baseline:
    """The best trivial baseline, by its mean over the questions that it has a result for."""
    means = {key: _mean_of_row(measured, row) for key, row in measured.rows.items() if key[0] == BASELINE}
    known = {key: mean for key, mean in means.items() if not math.isnan(mean)}
    if not known:
        return Baseline(None, math.nan)
    best = (min if measured.lower_is_better else max)(known, key=lambda key: known[key])
    return Baseline(best[3], known[best])


def _mean_of_row(measured: Measured, row: int) -> float:
    there = measured.has([row])
    if not there.any():
        return math.nan
    values = measured.values[row][there]
    return float(values.mean()) if measured.value is None else float(measured.value(values.sum(axis=0, keepdims=True))[0])


def way_rows(
    measured: Sequence[Measured], ways: WaysOfGrid, answers: Answers, baselines: Mapping[tuple[str, str, str], Baseline]
) -> Iterator[dict[str, Any]]:
    """A row for each way and metric, with the mean over seeds and its 95 % interval."""
    by_data: dict[tuple[str, str], list[Way]] = {}
    for way in ways:
        by_data.setdefault((way.task, way.sample_type), []).append(way)
    for one in measured:
        for way in by_data.get((one.task, one.sample_type), ()):
            keys = [key for key in ways[way].values() if key in one.rows]
            rows = [one.rows[key] for key in keys]
            if not rows:
                continue
            columns = np.flatnonzero(one.has(rows))
            counts = {
                "n": len(columns),
                "seeds": len(rows) if way.is_trained else 0,
                "nb_answers": sum(answers.number.get(key, 0) for key in keys),
                "nb_failed": int(one.nb_failed[rows].sum()),
                "nb_cut_off": sum(answers.cut_off.get(key, 0) for key in keys),
            }
            named = way._asdict() | {"scorer": one.scorer, "metric": one.metric, "lower_is_better": one.lower_is_better}
            beside = baselines[one.task, one.sample_type, one.name]
            yield named | counts | _figures(one, rows, columns) | {"baseline": beside.name, "baseline_mean": beside.mean}


def _figures(measured: Measured, rows: Sequence[int], columns: np.ndarray) -> dict[str, Any]:
    if not len(columns):
        return {"clusters": 0}
    estimate = mean_of(measured.results(measured.values[rows], columns, rows))
    names = (
        "low",
        "high",
        "standard_error",
        "freedom",
        "clusters",
        "of_questions",
        "of_seeds",
        "of_both",
        "of_samples",
        "method",
    )
    return {"mean": estimate.value, **{name: getattr(estimate, name) for name in names}}


def contrast_row(one: Conclusion, varying: set[str], baselines: Mapping[tuple[str, str, str], Baseline]) -> dict[str, Any]:
    """The row of a contrast in one metric."""
    found, estimate, contrast = one.found, one.estimate, one.found.contrast
    first, last = contrast.first, contrast.minus[0][1]
    # Baselines of several tasks have no common mean.
    beside = Baseline(None, math.nan) if found.tasks else baselines[first.task, first.sample_type, found.name]
    axes = first._asdict() | ({"task": "", "way": "", "trained_task": None} if found.tasks else {})
    return axes | {
        "axis": contrast.axis,
        "kind": contrast.kind,
        "own": contrast.own,
        "other": contrast.other,
        "other_way": "" if found.tasks else last.way,
        "other_sample_type": last.sample_type,
        "tasks": ", ".join(found.tasks),
        "scorer": found.scorer,
        "metric": found.metric,
        "lower_is_better": found.lower_is_better,
        "mean": found.means[0],
        "other_mean": found.means[1],
        "difference": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "level": one.level,
        "standard_error": estimate.standard_error,
        "freedom": estimate.freedom,
        "p_value": estimate.p_value,
        "p_adjusted": one.p_adjusted,
        "family": found.family,
        "n": estimate.questions,
        "clusters": estimate.clusters,
        "seeds": estimate.seeds if any(way.is_trained for way in contrast.ways) else 0,
        "verdict": one.verdict.value if one.verdict else "",
        "sentence": sentence(one, varying),
        "detectable": one.detectable,
        "smallest_difference": one.smallest_difference,
        "needed_questions": one.needed.questions,
        "needed_seeds": one.needed.seeds,
        "nb_failed": found.nb_failed[0],
        "other_nb_failed": found.nb_failed[1],
        "nb_cut_off": found.nb_cut_off[0],
        "other_nb_cut_off": found.nb_cut_off[1],
        **{name: getattr(estimate, name) for name in SPREADS},
        "method": estimate.method,
        "baseline": beside.name,
        "baseline_mean": beside.mean,
    }


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    whole = [name for name in columns if name in INTEGERS or name in WHOLE or name.endswith(("nb_failed", "nb_cut_off"))]
    return table.astype(dict.fromkeys(whole, "Int64") | {"lower_is_better": bool})


WHOLE = ("n", "clusters", "seeds", "nb_answers", "needed_questions", "needed_seeds")
"""The columns of counts."""
