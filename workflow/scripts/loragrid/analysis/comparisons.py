"""Comparisons of runs with their base models, and what training on one data set does for others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from loragrid.analysis.columns import ASKED, AXES, EVALUATED, INTEGERS, METRIC, MODEL, SETUP, SIGNS
from loragrid.analysis.corpus import corpora, jackknife_error, over_all
from loragrid.analysis.settings import FactsByScorer
from loragrid.analysis.summaries import counted, lower_is_better, mean_and_error
from loragrid.layout import BASE


def compare_with_base(scores: pd.DataFrame, summary: pd.DataFrame, facts: FactsByScorer) -> pd.DataFrame:
    """One row per run, data set and metric: the run's score minus its base model's, asked alike, on the same examples.

    `mean_difference` and its `standard_error` are about the paired differences; `better`, `equal` and `worse` count the examples,
    heeding `lower_is_better`. A metric over all examples together has no differences of single examples; its error comes from the
    jackknife.
    """
    rows = [*_paired_differences(scores, facts), *_corpus_differences(scores, facts)]
    columns = [*MODEL, *METRIC, "base_mean", "mean_difference", "standard_error", "n", *SIGNS]
    axes = summary[AXES].drop_duplicates(MODEL)
    compared = axes.merge(pd.DataFrame(rows, columns=columns), on=MODEL).astype(INTEGERS | dict.fromkeys(SIGNS, "Int64"))
    return compared.assign(lower_is_better=lower_is_better(compared, facts))


def _paired_differences(scores: pd.DataFrame, facts: FactsByScorer) -> Iterator[tuple[Any, ...]]:
    """Rows of the metrics that each example has."""
    keys = [*EVALUATED, *ASKED, *METRIC, "id"]
    of_answers = counted(scores, facts).groupby([*MODEL, *METRIC, "id"], sort=False)
    values = of_answers["value"].mean().reset_index()
    of_base = values.loc[values["run"] == BASE, [*keys, "value"]].rename(columns={"value": "base_value"})
    pairs = values[values["run"] != BASE].merge(of_base, on=keys)
    pairs["difference"] = pairs["value"] - pairs["base_value"]
    for key, group in pairs.groupby([*MODEL, *METRIC], sort=False)[["difference", "base_value"]]:
        mean, error = mean_and_error(group["difference"])
        differences = group["difference"].to_numpy()
        signs = [int((differences > 0).sum()), int((differences == 0).sum()), int((differences < 0).sum())]
        of_scorer = facts.get(str(key[-2]))
        if of_scorer is not None and key[-1] in of_scorer.lower_is_better:
            signs.reverse()
        yield (*key, float(group["base_value"].mean()), mean, error, len(group), *signs)


def _corpus_differences(scores: pd.DataFrame, facts: FactsByScorer) -> Iterator[tuple[Any, ...]]:
    """Rows of the metrics over all examples together."""
    counts = dict(corpora(scores, [*MODEL, "scorer"], facts))
    for key, parts in counts.items():
        columns = dict(zip([*MODEL, "scorer"], key, strict=True))
        base_parts = counts.get(tuple((columns | {"run": BASE}).values()))
        if columns["run"] == BASE or base_parts is None:
            continue
        both = parts.index.intersection(base_parts.index)
        scorer_type = facts[str(columns["scorer"])].type
        of_run, of_base = over_all(parts.loc[both], scorer_type), over_all(base_parts.loc[both], scorer_type)
        for metric, value in of_run.of_all.items():
            error = jackknife_error(of_run.without_one[metric] - of_base.without_one[metric])
            difference = value - of_base.of_all[metric]
            yield (*key, metric, of_base.of_all[metric], difference, error, len(both), None, None, None)


def on_own_task(table: pd.DataFrame) -> pd.Series:
    """Which rows are about a run on the task that it was trained for, whatever the sample type of the references."""
    return (table["trained_task"] == table["task"]).astype(bool)


def tests_foreign_sample_types(table: pd.DataFrame) -> bool:
    """Whether a run is tested, on its own task, on references of another sample type than it was trained on."""
    is_foreign = table["trained_sample_type"].notna() & (table["trained_sample_type"] != table["sample_type"])
    return bool((on_own_task(table) & is_foreign).any())


def summarise_transfer(comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row per base model, setup, evaluated data set and metric, for setups that are evaluated on foreign tasks too.

    `mean_difference` to the base model and its `standard_error` are means over the `runs` of a setup, which differ in
    their seeds alone. Runs share their test examples, so that the error does not shrink with their number.
    """
    of_setup = ["base_model", *SETUP]
    foreign = comparisons.loc[~on_own_task(comparisons), of_setup].drop_duplicates()
    means = {name: (name, "mean") for name in ("mean_difference", "standard_error")}
    # External predictions have no setup: groupby() leaves them out.
    grouped = comparisons.merge(foreign, on=of_setup).groupby([*of_setup, "task", "sample_type", *METRIC], sort=False)
    lower = {"lower_is_better": ("lower_is_better", "first")}
    return grouped.agg(runs=("run", "nunique"), n=("n", "max"), **means, **lower).reset_index()
