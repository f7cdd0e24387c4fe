"""Means of scores, by model and data set, or by group of examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loragrid.analysis.columns import AXES, GROUP, INTEGERS, METRIC, MODEL
from loragrid.analysis.corpus import corpora, jackknife_error, over_all
from loragrid.analysis.settings import FactsByScorer


def mean_and_error(values: pd.Series) -> tuple[float, float]:
    """Mean, and standard error of the mean (sample standard deviation over the root of n).

    The error of one value is NaN, and so is the mean of none.
    """
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values) or 1)


def counted(scores: pd.DataFrame, facts: FactsByScorer) -> pd.DataFrame:
    """Scores as they count in means. A failed score counts as the worst value, usually 0; if there is none, it is left out."""
    worst = {
        (scorer, metric): facts[scorer].worst.get(metric, 0.0) if scorer in facts else 0.0
        for scorer, metric in scores[METRIC].drop_duplicates().itertuples(index=False, name=None)
    }
    values, is_missing = scores["value"].astype(float), scores["value"].isna()
    keys = scores.loc[is_missing, METRIC].itertuples(index=False, name=None)
    values[is_missing] = np.array([worst[key] for key in keys], dtype=float)
    return scores.assign(value=values).dropna(subset="value")


def lower_is_better(table: pd.DataFrame, facts: FactsByScorer) -> list[bool]:
    """For each row of a table with scorer and metric, whether less is better."""
    rows = table[METRIC].itertuples(index=False, name=None)
    return [scorer in facts and metric in facts[scorer].lower_is_better for scorer, metric in rows]


def summarise_by(scores: pd.DataFrame, by: Sequence[str], facts: FactsByScorer) -> pd.DataFrame:
    """One row for each group and metric: `mean`, `n`, `nb_failed` with the most frequent `failure`, and `standard_error`.

    `nb_truncated` counts the examples with texts that were too long for the scorer's model.

    If an example has several answers, their mean counts. Metrics over all examples together are in `mean` too, with the standard
    error of the jackknife. Failed scores have no counts, and are left out of these metrics.

    Args:
        by: the columns that make a group.
    """
    failures, truncated = _failures(scores, [*by, *METRIC]), _truncated(scores, [*by, "scorer"])
    groups = _values_of_examples(counted(scores, facts), [*by, *METRIC])
    rows = []
    for key, failure in failures.items():
        # If all scores have failed and none counts, only the failure can be told.
        of_examples = groups.get(key, pd.Series(dtype=float))
        mean, error = mean_and_error(of_examples)
        rows.append((*key, mean, len(of_examples), *failure, error, truncated.get(key[:-1], 0)))
    # If a scorer fails, all of its metrics do.
    of_scorers = {key[:-1]: failure for key, failure in failures.items()}
    for key, parts in corpora(scores, [*by, "scorer"], facts):
        corpus = over_all(parts, facts[str(key[-1])].type)
        for metric, value in corpus.of_all.items():
            error = jackknife_error(corpus.without_one[metric])
            rows.append((*key, metric, value, len(parts), *of_scorers[key], error, truncated.get(key, 0)))
    return pd.DataFrame(rows, columns=[*by, *METRIC, "mean", "n", "nb_failed", "failure", "standard_error", "nb_truncated"])


def _values_of_examples(counting: pd.DataFrame, by: Sequence[str]) -> Mapping[Any, pd.Series]:
    """The values of each group, one for each example, in the order of their ids."""
    means = counting.groupby([*by, "id"])["value"].mean()
    return dict(iter(means.groupby(level=list(range(len(by))), sort=False)))


def _truncated(scores: pd.DataFrame, by: Sequence[str]) -> dict[tuple[Any, ...], int]:
    """How many examples of each group have texts that were too long for the scorer's model."""
    is_truncated = scores["truncated"].map(bool).astype(bool)
    counts: Any = scores[is_truncated].groupby(list(by), sort=False)["id"].nunique().to_dict()
    return dict(counts)


def _failures(scores: pd.DataFrame, by: Sequence[str]) -> dict[tuple[Any, ...], tuple[int, str | None]]:
    """How many scores of each group failed, wholly or in part, and the most frequent reason."""
    has_failed = scores["value"].isna() | (scores["status"] != "ok")
    reasons = scores[has_failed].groupby(list(by), sort=False)["status"].agg(lambda statuses: statuses.mode().iloc[0]).to_dict()
    counts: Mapping[Any, Any] = has_failed.groupby([scores[name] for name in by], sort=False).sum().to_dict()
    return {key: (int(count), reasons.get(key)) for key, count in counts.items()}


def summarise(scores: pd.DataFrame, predictions: pd.DataFrame, facts: FactsByScorer) -> pd.DataFrame:
    """`summarise_by` model and data set, with all axes, and whether less is better (`lower_is_better`)."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    summary = axes.merge(summarise_by(scores, MODEL, facts), on=MODEL).astype(INTEGERS)
    return summary.assign(lower_is_better=lower_is_better(summary, facts))


def summarise_groups(scores: pd.DataFrame, groups: pd.DataFrame, predictions: pd.DataFrame, facts: FactsByScorer) -> pd.DataFrame:
    """`summarise_by` model, data set and group of examples, with all axes."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    grouped = summarise_by(scores.merge(groups, on=["task", "sample_type", "id"]), [*MODEL, *GROUP], facts)
    return axes.merge(grouped, on=MODEL).astype(INTEGERS).assign(lower_is_better=lambda table: lower_is_better(table, facts))
