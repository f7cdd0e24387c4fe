"""Metrics over all examples together, with the jackknife's standard error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.settings import FactsByScorer
from loragrid.scoring.protocol import add_up
from loragrid.scoring.registry import corpus_metrics, has_corpus_metrics


class Corpus(NamedTuple):
    """The metrics over all examples together, and over all but one example each."""

    of_all: dict[str, float]
    without_one: dict[str, np.ndarray]


def over_all(parts: pd.Series, scorer_type: str) -> Corpus:
    """The metrics that a scorer gives over all examples together.

    Args:
        parts: the counts of each example.
    """
    counts = pd.DataFrame(parts.tolist()).fillna(0.0)
    names, total, rows = list(counts.columns), counts.sum().to_numpy(), counts.to_numpy()
    of_all = corpus_metrics(scorer_type, dict(zip(names, total, strict=True)))
    without = [corpus_metrics(scorer_type, dict(zip(names, total - row, strict=True))) for row in rows]
    return Corpus(of_all, {metric: np.array([metrics[metric] for metrics in without]) for metric in of_all})


def jackknife_error(without_one: np.ndarray) -> float:
    """Standard error of a statistic from its values without one example each (Efron & Stein 1981)."""
    n = len(without_one)
    return float(np.sqrt((n - 1) / n * ((without_one - without_one.mean()) ** 2).sum())) if n > 1 else math.nan


def corpora(scores: pd.DataFrame, by: Sequence[str], facts: FactsByScorer) -> Iterator[tuple[tuple[Any, ...], pd.Series]]:
    """The counts that metrics over all examples are made of: for each group of scores its key, and counts by example id."""
    of_corpus = [name for name, of_scorer in facts.items() if has_corpus_metrics(of_scorer.type)]
    counts = scores[scores["parts"].map(bool).astype(bool) & scores["scorer"].isin(of_corpus)]
    for key, group in counts.groupby(list(by), sort=False):
        yield key, group.groupby("id", sort=False)["parts"].agg(add_up)
