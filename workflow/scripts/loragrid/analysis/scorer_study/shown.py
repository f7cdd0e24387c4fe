"""What the report shows about scorers, for its template."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from loragrid.analysis.columns import METRIC, MODEL
from loragrid.analysis.labels import label_runs
from loragrid.analysis.scorer_study.answers import DATASET
from loragrid.analysis.scorer_study.pairs import OTHER
from loragrid.analysis.scorer_study.people import CRITERION

COEFFICIENT = "kendall"
"""The coefficient that the report shows: it means the same for all scales, and few answers suffice."""


Rows = list[dict[Hashable, Any]]


def shown_scorers(
    tables: Mapping[str, pd.DataFrame], metric: str, labels: Mapping[tuple[str, ...], str]
) -> dict[str, list[dict[str, Any]] | Rows]:
    """What the section about scorers shows.

    Args:
        tables: as `study_scorers` gives them.
        metric: the main one, as `scorer/metric`.
        labels: of models, by the columns of `MODEL`.

    Returns:
        `with_main`: for each data set, each metric beside the main one. `with_people`: for each data set and criterion, each
        metric beside people. `equal_length` and `corrected`: rows about judges and the main metric.
    """
    return {
        "with_main": beside_main(tables["scorers"], metric),
        "with_people": beside_people(tables["scorers"], tables["judge_agreement"]),
        "equal_length": at_equal_length(tables["equal_length"], metric),
        "corrected": corrected(tables["judge_corrected"], metric, labels),
    }


def names_of(table: pd.DataFrame, columns: list[str] = METRIC) -> pd.Series:
    """Metrics as `scorer/metric`."""
    return table[columns[0]] + "/" + table[columns[1]]


def both_ways(pairs: pd.DataFrame) -> pd.DataFrame:
    """The shown coefficient of each pair, once for each of its metrics, with `name` and `other_name`."""
    shown = pairs[pairs["coefficient"] == COEFFICIENT].assign(name=names_of, other_name=lambda table: names_of(table, OTHER))
    swapped = {"name": "other_name", "other_name": "name", "kind": "other_kind", "other_kind": "kind"}
    return pd.concat([shown, shown.rename(columns=swapped)], ignore_index=True)


def beside_main(pairs: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    """For each data set, how each metric goes with the main one, and with the length of answers."""
    shown = both_ways(pairs)
    found = []
    for dataset, group in shown.groupby(DATASET, sort=False):
        with_length = group[(group["other_name"] == "/characters") & (group["scope"] == "within questions")]
        with_main = group[(group["other_name"] == metric) & (group["name"] != "/characters")]
        names = dict.fromkeys([metric, *with_main["name"], *with_length["name"]])
        if pd.concat([with_main, with_length])["value"].notna().any():
            lengths = {row["name"]: row for row in with_length.to_dict("records")}
            rows = [{"name": name, "cells": _cells(with_main, name), "length": lengths.get(name)} for name in names]
            found.append({**dict(zip(DATASET, dataset, strict=True)), "rows": rows})
    return found


def beside_people(pairs: pd.DataFrame, agreement: pd.DataFrame) -> list[dict[str, Any]]:
    """For each data set and criterion of people, how each metric goes with it: the judges first."""
    shown = both_ways(pairs)
    with_people = shown[(shown["other_kind"] == "people") & shown["kind"].isin(["metric", "judge"])]
    agreed = agreement.assign(name=names_of(agreement), criterion_name=names_of(agreement, CRITERION))
    found = []
    for (task, sample_type, criterion), group in with_people.groupby([*DATASET, "other_name"], sort=False):
        own = agreed[(agreed["task"] == task) & (agreed["sample_type"] == sample_type) & (agreed["criterion_name"] == criterion)]
        by_name = {row["name"]: row for row in own.to_dict("records")}
        names = dict.fromkeys(group.sort_values("kind", kind="stable")["name"])
        rows = [{"name": name, "cells": _cells(group, name), "agreement": by_name.get(name)} for name in names]
        found.append({"task": task, "sample_type": sample_type, "criterion": criterion, "rows": rows})
    return found


def _cells(group: pd.DataFrame, name: str) -> dict[Hashable, dict[Hashable, Any]]:
    """The rows about one metric, by scope."""
    return {row["scope"]: row for row in group[group["name"] == name].to_dict("records")}


def _of_judges(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows about judges and about the main metric, with `name`."""
    named = table.assign(name=names_of(table))
    return named[(named["kind"] == "judge") | (named["name"] == metric)]


def at_equal_length(table: pd.DataFrame, metric: str) -> Rows:
    """Differences from the base model at equal length, in judges and the main metric."""
    shown = _of_judges(table, metric)
    # Without a slope, lengths do not vary.
    shown = shown[shown["slope"].notna()]
    return shown.assign(label=label_runs(shown.assign(run=shown["way"], seed=0))).to_dict("records")


def corrected(table: pd.DataFrame, metric: str, labels: Mapping[tuple[str, ...], str]) -> Rows:
    """Means that people correct, by judges; without judges, by the main metric."""
    shown = _of_judges(table, metric)
    by_judges = shown[shown["kind"] == "judge"]
    shown = shown if by_judges.empty else by_judges
    keys = shown[MODEL].itertuples(index=False, name=None)
    named = shown.assign(label=[labels.get(key, key[3]) for key in keys], criterion_name=names_of(shown, CRITERION))
    return named.to_dict("records")
