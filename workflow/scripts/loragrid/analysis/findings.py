"""What the report says first: what helped, whether a trivial baseline does as well, which answers were lost in thoughts."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.comparisons import on_own_task, tests_foreign_sample_types
from loragrid.analysis.labels import label_runs
from loragrid.layout import BASELINE

ALPHA = 0.05
"""How likely a difference by chance alone may be that is called clear, for all comparisons of a kind together."""


def signs(table: pd.DataFrame) -> pd.Series:
    """For each row 1, or -1 if less is better."""
    return 1 - 2 * table["lower_is_better"].astype(int)


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows about one metric, given as `scorer/metric`."""
    return table[table["scorer"] + "/" + table["metric"] == metric]


def headline(comparisons: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """How many data sets and runs gained over their base model in the main metric. Each run counts on its own task.

    Where runs are tested on references of other sample types than their own, there is an entry for the references of each sample
    type. Else there is one entry, and its `references` are None: each run is tested on its own sample type.
    """
    rows = of_metric(comparisons, metric)
    rows = rows[on_own_task(rows)]
    if tests_foreign_sample_types(rows):
        return [{"references": name, **_gains(of_type)} for name, of_type in rows.groupby("sample_type", sort=False)]
    return [{"references": None, **_gains(rows)}] if len(rows) else []


def _gains(rows: pd.DataFrame) -> dict[str, Any]:
    """How many of the data sets that runs were trained for gained, and how many runs.

    A data set counts as gained if the runs with the most training examples gain on average: nothing is picked by its
    test score. A gain is called clear if it is larger than two standard errors.
    """
    trained = ["base_model", "trained_task", "trained_sample_type"]
    rows = rows.assign(gain=rows["mean_difference"] * signs(rows))
    largest = rows[rows["nb_samples"] == rows.groupby(trained)["nb_samples"].transform("max")]
    gains = largest.groupby(trained)["gain"].mean()
    return {
        "datasets": len(gains),
        "datasets_gained": int((gains > 0).sum()),
        "runs": len(rows),
        "runs_gained": int((rows["gain"] > 0).sum()),
        "runs_clear": int((rows["gain"] > 2 * rows["standard_error"]).sum()),
    }


def sample_type_findings(overall: pd.DataFrame, by_setup: pd.DataFrame, metric: str) -> list[dict[Hashable, Any]]:
    """For each pair of compared sample types, and the references of each sample type, which one trains better in the main metric.

    `better_sample_type` is empty where the data do not tell: the difference could come from the choice of test questions alone.
    The verdicts on all pairs hold together (Holm 1979), and so do those on all setups, in `rows`.
    """
    columns = ["base_model", "sample_type", "trained_sample_type", "other_sample_type"]
    of_main = of_metric(by_setup, metric)
    rows = with_verdicts(of_main[on_own_task(of_main)])
    labelled = rows.assign(label=label_runs(rows.assign(run="", trained_sample_type="", sample_type="", seed=0)))
    return [
        finding | {"rows": labelled[(labelled[columns] == [finding[name] for name in columns]).all(axis=1)].to_dict("records")}
        for finding in with_verdicts(overall).to_dict("records")
    ]


def with_verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """The rows with an adjusted `p_value`, and with `better_sample_type`, which is empty where none clearly is."""
    adjusted = holm(table["p_value"].to_numpy(dtype=float))
    gains = table["mean_difference"] * signs(table)
    winners = table["trained_sample_type"].where(gains > 0, table["other_sample_type"])
    return table.assign(p_value=adjusted, better_sample_type=winners.where(adjusted <= ALPHA, ""))


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values adjusted for being many: false alarms among all of them together are as rare as in one (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted


def without_common_references(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """Pairs of sample types that runs were trained on and that are tested on no references in common, with their tasks."""
    runs = summary[on_own_task(summary)]
    apart: dict[tuple[str, str], list[str]] = {}
    for (_, task), group in runs.groupby(["base_model", "task"], sort=False):
        tested = {name: set(of_type["sample_type"]) for name, of_type in group.groupby("trained_sample_type", sort=False)}
        for own, other in combinations(tested, 2):
            if not tested[own] & tested[other]:
                apart.setdefault((str(own), str(other)), []).append(str(task))
    return [{"sample_types": pair, "tasks": list(dict.fromkeys(tasks))} for pair, tasks in apart.items()]


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
