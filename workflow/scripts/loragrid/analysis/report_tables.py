"""The tables of the report, for its template."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import ASKED, EVALUATED, METRIC, MODEL, SETUP
from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.findings import of_metric
from loragrid.analysis.labels import label_runs
from loragrid.layout import BASE, BASELINE, EXTERNAL

MOST_GROUPS = 30


def result_tables(summary: pd.DataFrame, comparisons: pd.DataFrame, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """For each metric a table: a row per base model and data set, a column for the base model and for each setup.

    Trivial baselines, and external predictions without a base model, stand in the rows of all base models.

    Args:
        by: further columns that divide the data sets, as groups of examples do.
    """
    labelled = summary.assign(label=label_runs(summary))
    # Groups of examples are not compared.
    gains = {} if by else gains_of(comparisons)
    return [
        {
            "scorer": str(key[0]),
            "metric": "/".join(map(str, key)),
            "lower_is_better": bool(results["lower_is_better"].any()),
            "columns": _columns(results),
            "rows": list(_rows(results, ["task", "sample_type", *by], gains)),
        }
        for key, results in labelled.groupby(METRIC, sort=False)
    ]


class Gain(NamedTuple):
    """A run's difference from its base model in one metric."""

    difference: float
    error: float
    """Its standard error."""
    verdict: str
    """On the kind of run, over its seeds; empty where there is none."""


def gains_of(comparisons: pd.DataFrame) -> dict[tuple[Hashable, ...], Gain]:
    """Each model's gain in each metric.

    Args:
        comparisons: as `with_verdicts` gives them.
    """
    keys = comparisons[[*MODEL, *METRIC]].itertuples(index=False, name=None)
    values = comparisons[["mean_difference", "standard_error", "verdict"]].itertuples(index=False, name=None)
    return dict(zip(keys, map(Gain._make, values), strict=True))


def with_verdicts(comparisons: pd.DataFrame, contrasts: pd.DataFrame) -> pd.DataFrame:
    """Comparisons of runs with their base models, each with the `verdict` on its kind of run."""
    keys = [*EVALUATED, "way", *ASKED, *METRIC]
    of_kinds = contrasts.loc[(contrasts["axis"] == "training") & (contrasts["tasks"] == ""), [*keys, "verdict"]]
    is_trained = comparisons["trained_task"].notna()
    ways = comparisons["run"].where(~is_trained, comparisons["run"].str.replace(r"__seed\d+$", "", regex=True))
    return comparisons.assign(way=ways).merge(of_kinds, on=keys, how="left").fillna({"verdict": ""})


def family_rows(contrasts: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """The rows of the declared families, with a `label` for what both ways have in common.

    The `task` of a mean over tasks names them all.
    """
    rows = contrasts[contrasts["family"] != EXPLORATORY]
    trained = rows["mix"].notna()
    labels = pd.Series(rows["way"], index=rows.index)
    labels[trained] = label_runs(in_common(rows[trained]).assign(run="", seed=0))
    over_tasks = rows["tasks"] != ""
    of_models = rows["axis"].str.split("*").map(lambda axes: "base_model" in axes).astype(bool)
    rows = rows.assign(
        task=rows["task"].mask(over_tasks, "mean over " + rows["tasks"]), base_model=rows["base_model"].mask(of_models, "")
    )
    needed = {name: rows[name].fillna(0).astype(int) for name in ("needed_questions", "needed_seeds")}
    return rows.assign(label=labels, metric_name=rows["scorer"] + "/" + rows["metric"], **needed).to_dict("records")


def in_common(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of contrasts between runs, without the values of the axes in which both ways differ."""
    differing = rows["axis"].str.split("*")
    blank = {name: rows[name].mask(differing.map(lambda axes, name=name: name in axes).astype(bool)) for name in SETUP}
    # A row over tasks, or over what runs were trained for, is about the task that it names.
    return rows.assign(**blank | {"trained_task": blank["trained_task"].fillna(rows["task"])})


def _columns(results: pd.DataFrame) -> list[str]:
    """The labels of all models: base models first, then runs, external predictions and trivial baselines."""
    models = zip(results["base_model"], results["run"], strict=True)
    places = [{BASELINE: 3, EXTERNAL: 2}.get(base_model, int(run != BASE)) for base_model, run in models]
    return list(dict.fromkeys(results.assign(place=places).sort_values("place", kind="stable")["label"]))


def _rows(results: pd.DataFrame, by: Sequence[str], gains: Mapping[tuple[Hashable, ...], Gain]) -> Iterator[dict[str, Any]]:
    """A row for each base model and group of results, with a cell for each label."""
    for key, group in results.groupby(list(by), sort=False):
        is_shared = group["base_model"].isin([BASELINE, EXTERNAL])
        for base_model in group.loc[~is_shared, "base_model"].unique() if (~is_shared).any() else [""]:
            of_row = group[is_shared | (group["base_model"] == base_model)].to_dict("records")
            cells = {result["label"]: _cell(result, gains) for result in of_row}
            yield {"base_model": base_model, **dict(zip(by, key, strict=True)), "cells": cells}


def _cell(result: Mapping[Hashable, Any], gains: Mapping[tuple[Hashable, ...], Gain]) -> dict[str, Any]:
    cell = {name: result[name] for name in ("mean", "standard_error", "n", "nb_failed", "failure", "nb_truncated")}
    key = tuple(result[name] for name in (*MODEL, *METRIC))
    if key in gains:
        cell["gain"] = gains[key]
    return cell


def few_groups(groups: pd.DataFrame) -> pd.DataFrame:
    """The rows of metadata keys with few enough values for a reader."""
    return groups[groups.groupby(["task", "sample_type", "key"])["group"].transform("nunique") <= MOST_GROUPS]


def transfer_table(transfer: pd.DataFrame, contrasts: pd.DataFrame, metric: str) -> dict[str, Any]:
    """What carries over to other data sets, in one metric: a row per base model and setup, a column per evaluated data set."""
    keys = [*EVALUATED, *SETUP]
    of_kinds = of_metric(contrasts[(contrasts["axis"] == "training") & (contrasts["tasks"] == "")], metric)
    results = of_metric(transfer, metric).merge(of_kinds[[*keys, "verdict"]], on=keys, how="left").fillna({"verdict": ""})
    trained = results.assign(task=results["trained_task"], sample_type=results["trained_sample_type"], run="", seed=0)
    rows = []
    for _, group in results.assign(label=label_runs(trained)).groupby(["base_model", *SETUP], sort=False):
        first = group.iloc[0]
        rows.append(
            {
                "base_model": first["base_model"],
                "task": first["trained_task"],
                "sample_type": first["trained_sample_type"],
                "label": first["label"],
                "cells": {(row["task"], row["sample_type"]): row for row in group.to_dict("records")},
            }
        )
    return {"columns": list(dict.fromkeys(column for row in rows for column in row["cells"])), "rows": rows}


def example_answers(predictions: pd.DataFrame, nb_examples: int) -> list[dict[str, Any]]:
    """For each base model and data set, the first test examples with all models' answers to them, side by side."""
    by_models = predictions[predictions["base_model"] != BASELINE]
    labelled = by_models.assign(label=label_runs(by_models))
    shown = []
    for dataset, group in labelled.groupby(EVALUATED, sort=False):
        ids = list(dict.fromkeys(group["id"]))[:nb_examples]
        by_example = group[group["id"].isin(ids)].groupby("id", sort=False)
        examples = [_example(answers) for _, answers in by_example]
        shown.append({**dict(zip(EVALUATED, dataset, strict=True)), "examples": examples})
    return shown


def _example(answers: pd.DataFrame) -> dict[str, Any]:
    """One test example and all answers to it."""
    of_first = answers[answers["label"] == answers["label"].iloc[0]]
    joined = answers.groupby("label", sort=False).agg(
        prediction=("prediction", "\n".join), cut_off=("finish_reason", lambda reasons: (reasons == "length").any())
    )
    return {
        "prompt": "\n\n".join(dict.fromkeys(of_first["prompt"])),
        "references": list(dict.fromkeys(text for texts in of_first["reference"] for text in texts)),
        "answers": joined.reset_index().to_dict("records"),
    }
