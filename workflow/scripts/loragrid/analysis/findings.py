"""What the report says first: what helped, whether a trivial baseline does as well, which answers were lost in thoughts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from loragrid.analysis.columns import ASKED, MODEL
from loragrid.analysis.comparisons import on_own_task, tests_foreign_sample_types
from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.verdicts import Verdict
from loragrid.analysis.labels import label_runs
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import BASELINE


def signs(table: pd.DataFrame) -> pd.Series:
    """For each row 1, or -1 if less is better."""
    return 1 - 2 * table["lower_is_better"].astype(int)


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows about one metric, given as `scorer/metric`."""
    return table[table["scorer"] + "/" + table["metric"] == metric]


def headline(contrasts: pd.DataFrame, main: MainMetrics) -> list[dict[str, Any]]:
    """How many kinds of run are better or worse than their base model in its main metric, by verdicts, each on its own task.

    A kind of run counts once, whatever the number of its seeds. Where kinds are tested on references of other sample types than
    their own, there is an entry for the references of each sample type; where they are asked in several ways, one for each.
    Else `references` and `asked` are None. Verdicts that were declared count; where only means over tasks were, these; where
    nothing was, all on single tasks, and they are `exploratory`.
    """
    rows = _that_count(against_base(contrasts, main))
    by = [
        *(["sample_type"] if tests_foreign_sample_types(rows) else []),
        *(name for name in ASKED if rows[name].nunique() > 1),
    ]
    groups = rows.groupby(by, sort=False) if by else [((), rows)] if len(rows) else []
    return [_counts(group) | _group_name(dict(zip(by, key, strict=True))) for key, group in groups]


def against_base(contrasts: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The verdicts on kinds of run against their base models in the main metrics, on single tasks and over tasks."""
    return main.rows(contrasts[contrasts["axis"] == "training"])


def _that_count(rows: pd.DataFrame) -> pd.DataFrame:
    """Of verdicts on kinds of run, those that were declared, on single tasks or else over tasks; or all on single tasks."""
    is_declared, is_mean = rows["family"] != EXPLORATORY, (rows["tasks"] != "") & rows["mix"].notna()
    on_single = on_own_task(rows) & (rows["tasks"] == "")
    if (is_declared & on_single).any():
        return rows[is_declared & on_single]
    if (is_declared & is_mean).any():
        # Such means are made of runs on their own tasks.
        return rows[is_declared & is_mean].assign(trained_task="")
    return rows[on_single]


def _group_name(key: dict[str, Any]) -> dict[str, Any]:
    asked = [text.format(key[name]) for name, text in ASKED_AS.items() if name in key]
    return {"references": key.get("sample_type"), "asked": ", ".join(asked) or None}


ASKED_AS = dict(zip(ASKED, ("prompting {}", "prompt {}", "decoding {}"), strict=True))
"""How the report names a way of asking."""


def _counts(rows: pd.DataFrame) -> dict[str, Any]:
    """How many kinds of run have each verdict, and on how much the verdicts rest."""
    return {
        "kinds": len(rows),
        "exploratory": bool((rows["family"] == EXPLORATORY).all()),
        "means_over": sorted(set(rows["tasks"]) - {""}),
        "datasets": len(rows[["task", "sample_type"]].drop_duplicates()),
        **{verdict.value: int((rows["verdict"] == verdict.value).sum()) for verdict in Verdict},
        "too_little": int((rows["verdict"] == "").sum()),
        **{name: (int(rows[name].min()), int(rows[name].max())) for name in ("n", "seeds")},
        "detectable": float(rows["detectable"].median()),
    }


def sample_type_findings(contrasts: pd.DataFrame, main: MainMetrics) -> list[dict[Hashable, Any]]:
    """For each pair of compared sample types, and the references of each sample type, the verdict on which trains better.

    That is the mean over tasks; `rows` are the verdicts on each task and number of training examples. `setting` names what
    findings on the same pair differ in: how both were trained, or asked.
    """
    own = main.rows(contrasts[contrasts["axis"] == "trained_sample_type"])
    own = own[own["kind"] == "difference"]
    alike = ["base_model", "sample_type", "own", "other", *SETTING]
    single = own[own["tasks"] == ""]
    labelled = single.assign(label=label_runs(single.assign(run="", trained_sample_type="", sample_type="", seed=0)))
    over_tasks = own[own["tasks"] != ""]
    varying = [name for name in SETTING if over_tasks[name].nunique() > 1]
    return [
        finding
        | {"setting": ", ".join(SETTING[name].format(finding[name]) for name in varying)}
        | {"rows": labelled[(labelled[alike] == [finding[name] for name in alike]).all(axis=1)].to_dict("records")}
        for finding in over_tasks.to_dict("records")
    ]


SETTING = {"mix": "mix {}", "config": "config {}", "loss_computation": "{} loss", **ASKED_AS}
"""What two runs that are compared have in common, and how the report names it."""


def counted_findings(findings: Sequence[Mapping[Hashable, Any]]) -> list[dict[str, Any]]:
    """For each pair of sample types, how many findings have each verdict on the first, `own`."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        pairs.setdefault((finding["own"], finding["other"]), []).append(finding["verdict"])
    return [
        {"own": own, "other": other, "number": len(found), "too_little": found.count("")}
        | {verdict.value: found.count(verdict.value) for verdict in Verdict}
        for (own, other), found in pairs.items()
    ]


def decided(contrasts: pd.DataFrame, main: MainMetrics) -> list[dict[str, Any]]:
    """For each axis and family, how many contrasts in main metrics there are, and those with a verdict that decides."""
    rows = main.rows(contrasts)
    return [
        {
            "axis": axis,
            "family": family,
            "kind": kind,
            "number": len(group),
            "undecided": int((group["verdict"] == Verdict.UNDECIDED).sum()),
            "too_little": int((group["verdict"] == "").sum()),
            "sentences": group.loc[~group["verdict"].isin(["", Verdict.UNDECIDED]), "sentence"].tolist(),
        }
        for (family, axis, kind), group in rows.groupby(["family", "axis", "kind"], sort=False)
    ]


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


def strong_baselines(summary: pd.DataFrame, main: MainMetrics) -> list[dict[str, Any]]:
    """The data sets on which a trivial baseline is as good as every model in the task's main metric.

    Each comes with the best baseline and its mean, and with the best model's mean.
    """
    strong = []
    means = main.rows(summary).dropna(subset="mean")
    ranked = means.assign(rank=means["mean"] * signs(means)).sort_values("rank", ascending=False, kind="stable")
    for (task, sample_type), group in ranked.groupby(["task", "sample_type"], sort=False):
        is_baseline = group["base_model"] == BASELINE
        baseline, model = group[is_baseline].head(1), group[~is_baseline].head(1)
        if len(baseline) and len(model) and baseline["rank"].iloc[0] >= model["rank"].iloc[0]:
            strong.append(
                {
                    "task": task,
                    "sample_type": sample_type,
                    "metric": main.of(str(task)),
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
