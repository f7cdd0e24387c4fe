"""Metrics over all examples together, from the sums of what scorers count in each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping


def corpus_metrics(scorer_type: str, sums: Mapping[str, float]) -> dict[str, float]:
    """The metrics over all examples that a type of scorer has, those of `CORPUS_METRICS`.

    Args:
        sums: of the `parts` of all examples; without any, each metric is NaN.
    """
    compute = COMPUTE.get(scorer_type)
    return compute(sums) if compute else {}


def _corpus_bleu(sums: Mapping[str, float]) -> dict[str, float]:
    """BLEU, 0 to 100, as `sacrebleu.corpus_bleu` has it: smoothed exponentially where an order has no match."""
    if not sums:
        return {"corpus_bleu": math.nan}
    from sacrebleu.metrics.bleu import BLEU

    common, predicted = ([int(sums[f"{of}/{n}"]) for n in range(1, 5)] for of in ("common", "predicted"))
    lengths = int(sums["predicted_words"]), int(sums["reference_words"])
    return {"corpus_bleu": BLEU.compute_bleu(common, predicted, *lengths, smooth_method="exp").score}


def _corpus_chrf(sums: Mapping[str, float]) -> dict[str, float]:
    """The score chrF, 0 to 100, as `sacrebleu.corpus_chrf` has it."""
    return {"corpus_chrf": 100 * f_score(sums) if sums else math.nan}


def f_score(counts: Mapping[str, float], beta: float = 2) -> float:
    """F-score of chrF, 0 to 1 (Popović 2015): of the means of precision and recall over the orders of n-grams that both texts have.

    Args:
        counts: for each order the n-grams as `predicted/ORDER`, `reference/ORDER` and `common/ORDER`.
        beta: how much more recall weighs than precision.
    """
    precisions, recalls = [], []
    for key, common in counts.items():
        of, _, order = key.partition("/")
        if of == "common" and (predicted := counts[f"predicted/{order}"]) and (reference := counts[f"reference/{order}"]):
            precisions.append(common / predicted)
            recalls.append(common / reference)
    # Without orders, or without anything in common, both are 0.
    if not any(precisions):
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _label_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Mean of the labels' F1, 0 to 1, over the labels that a prediction or reference has."""
    counts: dict[str, dict[str, float]] = {}
    for key, value in sums.items():
        of, _, label = key.partition("/")
        counts.setdefault(label, {})[of] = value
    found = [f1(c.get("tp", 0), c.get("fp", 0), c.get("fn", 0)) for c in counts.values() if any(c.values())]
    return {"macro_f1": sum(found) / len(found) if found else math.nan}


def _span_metrics(sums: Mapping[str, float]) -> dict[str, float]:
    """Precision, recall and F1, 0 to 1, over the spans of all examples; all are 1 where there are none at all."""
    if not sums:
        return dict.fromkeys(("micro_precision", "micro_recall", "micro_f1"), math.nan)
    return {f"micro_{name}": value for name, value in precision_recall_f1(sums["tp"], sums["fp"], sums["fn"]).items()}


def precision_recall_f1(tp: float, fp: float, fn: float) -> dict[str, float]:
    """Precision, recall and F1, 0 to 1, from the counts of right, superfluous and missing; all are 1 where there was nothing to find or mistake."""
    if not tp + fp + fn:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    return {"precision": precision, "recall": recall, "f1": f1(tp, fp, fn)}


def f1(tp: float, fp: float, fn: float) -> float:
    """F1, 0 to 1, from counts of which at least one is positive."""
    return 2 * tp / (2 * tp + fp + fn)


COMPUTE: Mapping[str, Callable[[Mapping[str, float]], dict[str, float]]] = {
    "bleu": _corpus_bleu,
    "chrf": _corpus_chrf,
    "label": _label_metrics,
    "spans": _span_metrics,
}
