"""Precision, recall and F1 from counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


def precision_recall_f1(tp: float, fp: float, fn: float) -> dict[str, float]:
    """Precision, recall and F1, 0 to 1, from the counts of right, superfluous and missing.

    All three are 1 if all counts are 0.
    """
    if not tp + fp + fn:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    return {"precision": precision, "recall": recall, "f1": f1(tp, fp, fn)}


def f1(tp: float, fp: float, fn: float) -> float:
    """F1, 0 to 1, from counts. At least one count must be positive."""
    return 2 * tp / (2 * tp + fp + fn)


class Overlap(NamedTuple):
    """What two bags of words have in common."""

    precision: float
    recall: float
    f1: float


def overlap(predicted: Sequence[str], wanted: Sequence[str]) -> Overlap:
    """Precision, recall and F1, 0 to 1. Two empty bags agree."""
    if not predicted or not wanted:
        return Overlap(*[float(not predicted and not wanted)] * 3)
    common = (Counter(predicted) & Counter(wanted)).total()
    return Overlap(common / len(predicted), common / len(wanted), 2 * common / (len(predicted) + len(wanted)))
