"""What scorers say of each answer, and what they read in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from loragrid.analysis.columns import METRIC
from loragrid.analysis.page.tables import Payload
from loragrid.analysis.settings import FactsByScorer
from loragrid.scoring.registry import kind_of

DIGITS = 6
"""Decimals of scores. More would only make the page larger."""


def scores_of(
    scores: pd.DataFrame, numbers: Sequence[int], of_rows: np.ndarray, facts: FactsByScorer, main_metric: str
) -> Payload:
    """`metrics`, and for each answer its `scores`, `failures` and what scorers `read`.

    With several samples, a score is the mean of those that have one, and what was read comes once for each.

    Args:
        scores: as `read_scores` gives them.
        numbers: of the answers, ascending.
        of_rows: for each row of `scores` the number of its answer. Other answers are left out.
    """
    known = np.asarray(numbers, dtype=np.int64)
    index = np.searchsorted(known, of_rows)
    is_known = np.isin(of_rows, known)
    scores, index = scores[is_known], index[is_known]
    metrics = list(dict.fromkeys(scores[METRIC].itertuples(index=False, name=None)))
    names = [f"{scorer}/{metric}" for scorer, metric in metrics]
    metric_of = (scores["scorer"] + "/" + scores["metric"]).to_numpy()
    values = pd.to_numeric(scores["value"]).to_numpy(dtype=float)
    return {
        "metrics": [
            {
                "name": name,
                "lower_is_better": scorer in facts and metric in facts[scorer].lower_is_better,
                "main": name == main_metric,
            }
            for name, (scorer, metric) in zip(names, metrics, strict=True)
        ],
        "scores": {name: _means(values[own], index[own], len(known)) for name in names for own in [metric_of == name]},
        "failures": _failures(scores, index, len(known)),
        "read": _read(scores, index, len(known), facts),
    }


def _means(values: np.ndarray, index: np.ndarray, n: int) -> list[float | None]:
    """The mean score of each answer, over the samples that have one."""
    is_there = ~np.isnan(values)
    counts = np.bincount(index[is_there], minlength=n)
    sums = np.bincount(index[is_there], values[is_there], n)
    means = np.round(sums / np.maximum(counts, 1), DIGITS)
    return [float(mean) if count else None for mean, count in zip(means, counts, strict=True)]


def _failures(scores: pd.DataFrame, index: np.ndarray, n: int) -> dict[str, list[str | None]]:
    """What went wrong with each answer, by scorer; scorers that never failed are left out."""
    failures: dict[str, list[str | None]] = {}
    has_failed = (scores["status"] != "ok").to_numpy()
    rows = zip(index[has_failed].tolist(), scores["scorer"][has_failed], scores["status"][has_failed], strict=True)
    for answer, scorer, status in rows:
        of_scorer = failures.setdefault(str(scorer), [None] * n)
        of_scorer[answer] = of_scorer[answer] or status
    return failures


def _read(scores: pd.DataFrame, index: np.ndarray, n: int, facts: FactsByScorer) -> dict[str, list[Payload | None]]:
    """What scorers read in each answer; scorers that tell nothing are left out.

    An entry has `detail`, a text or None for each sample; for people's scores `ratings`, by criterion and annotator; and
    `truncated`, the texts that the scorer's model read in part.
    """
    people = [name for name, of in facts.items() if kind_of(of.type) == "people"]
    is_people = scores["scorer"].isin(people)
    has_parts, has_truncated = (scores[name].map(bool).to_numpy(dtype=bool) for name in ("parts", "truncated"))
    told = scores["detail"].notna().to_numpy(dtype=bool) | (is_people.to_numpy(dtype=bool) & has_parts) | has_truncated
    columns = [scores[name][told] for name in ("scorer", "sample", "detail", "parts", "truncated")]
    read: dict[str, dict[int, Payload]] = {}
    for answer, rated, scorer, sample, detail, parts, truncated in zip(
        index[told].tolist(), is_people[told].tolist(), *columns, strict=True
    ):
        entry = read.setdefault(str(scorer), {}).setdefault(answer, {})
        # A column of texts has NaN where there is none.
        if isinstance(detail, str):
            details = entry.setdefault("detail", [])
            details += [None] * (int(sample) + 1 - len(details))
            details[int(sample)] = detail
        if rated and parts:
            # The row of a sheet says nothing to a reader.
            entry.setdefault("ratings", {}).update({name.rpartition("/")[0]: value for name, value in parts.items()})
        if truncated:
            entry["truncated"] = sorted({*entry.get("truncated", []), *truncated})
    return {scorer: [of_answers.get(place) for place in range(n)] for scorer, of_answers in read.items()}
