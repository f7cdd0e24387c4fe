"""What the report says first: whether training helped, whether a trivial baseline does as well, which answers were lost."""

from __future__ import annotations

from typing import Any

import pandas as pd

from loragrid.analysis.columns import EVALUATED, MODEL
from loragrid.analysis.comparisons import on_own_data
from loragrid.analysis.labels import label_runs
from loragrid.layout import BASELINE


def signs(table: pd.DataFrame) -> pd.Series:
    """For each row 1, or -1 if less is better."""
    return 1 - 2 * table["lower_is_better"].astype(int)


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows about one metric, given as `scorer/metric`."""
    return table[table["scorer"] + "/" + table["metric"] == metric]


def headline(comparisons: pd.DataFrame, metric: str) -> dict[str, Any]:
    """How many data sets and runs gained over their base model in the main metric. Each run counts on its own data set.

    A data set counts as gained if the runs with the most training examples gain on average: nothing is picked by its
    test score. A gain is called clear if it is larger than two standard errors.
    """
    rows = of_metric(comparisons, metric)
    rows = rows[on_own_data(rows)]
    rows = rows.assign(gain=rows["mean_difference"] * signs(rows))
    largest = rows[rows["nb_samples"] == rows.groupby(EVALUATED)["nb_samples"].transform("max")]
    gains = largest.groupby(EVALUATED)["gain"].mean()
    return {
        "datasets": len(gains),
        "datasets_gained": int((gains > 0).sum()),
        "runs": len(rows),
        "runs_gained": int((rows["gain"] > 0).sum()),
        "runs_clear": int((rows["gain"] > 2 * rows["standard_error"]).sum()),
    }


def strong_baselines(summary: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """The data sets on which a trivial baseline is as good as every model in a metric.

    Each comes with the best baseline and its mean, and with the best model's mean.
    """
    strong = []
    means = of_metric(summary, metric).dropna(subset="mean")
    ranked = means.assign(rank=means["mean"] * signs(means)).sort_values("rank", ascending=False, kind="stable")
    for (task, sample_type), group in ranked.groupby(["task", "sample_type"], sort=False):
        is_baseline = group["base_model"] == BASELINE
        baseline, model = group[is_baseline].head(1), group[~is_baseline].head(1)
        if len(baseline) and len(model) and baseline["rank"].iloc[0] >= model["rank"].iloc[0]:
            strong.append(
                {
                    "task": task,
                    "sample_type": sample_type,
                    "baseline": label_runs(baseline)[0],
                    "mean": float(baseline["mean"].iloc[0]),
                    "best_model": float(model["mean"].iloc[0]),
                }
            )
    return strong


def lost_in_thoughts(predictions: pd.DataFrame) -> list[dict[str, Any]]:
    """The models and data sets with answers that are empty because the model did not get beyond its thoughts, with the counts.

    Args:
        predictions: a row for each answer.
    """
    is_lost = (predictions["prediction"] == "") & predictions["thoughts"].notna() & (predictions["thoughts"] != "")
    counts = predictions.assign(empty=is_lost, answers=1).groupby(MODEL, sort=False)[["empty", "answers"]].sum().reset_index()
    counts = counts.assign(label=label_runs(predictions.drop_duplicates(MODEL)))
    return [{str(key): value for key, value in row.items()} for row in counts[counts["empty"] > 0].to_dict("records")]
