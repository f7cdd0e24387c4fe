"""How scores spread: over the answers of a way, and over training seeds."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.comparisons import on_own_task
from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, first_rows, in_panels, panels_note, with_panels
from loragrid.analysis.figures.names import mean_title
from loragrid.analysis.figures.ways import RUN_AXES, WAY_AXES, distinct, matching_all, metric_names, with_labels
from loragrid.analysis.main_metrics import MainMetrics

BINS = 25
"""Ranges of equal width between the least and the largest score of a data set."""

DISTRIBUTIONS = [*WAY_AXES, "metric", "label", "order", "low", "high", "answers", "share", "mean"]
SEEDS = [*RUN_AXES, "metric", "label", "order", "mean", "n"]


def distribution_rows(scores: pd.DataFrame, predictions: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """How many answers of each way have a score in each range, and the mean of all its scores. Failed scores have no value.

    Args:
        scores: one row per prediction and metric.
        predictions: with the axes of each.
    """
    own = main.rows(scores[[*MODEL, "scorer", "metric", "value"]].dropna(subset="value"))
    axes = with_labels_of_ways(predictions)
    found = own.assign(name=metric_names).merge(axes, on=MODEL).drop(columns="metric").rename(columns={"name": "metric"})
    found = found[on_own_task(found) | found["trained_task"].isna()]
    if found.empty:
        return with_panels(pd.DataFrame(columns=DISTRIBUTIONS))
    parts = [_binned(group) for _, group in found.groupby(["task", "sample_type"], sort=False)]
    return matching_all(with_panels(pd.concat(parts, ignore_index=True)[DISTRIBUTIONS]))


def with_labels_of_ways(predictions: pd.DataFrame) -> pd.DataFrame:
    """The axes of each evaluation, with `label` and `order` of its way: seeds share them."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    labels = with_labels(axes.assign(seed=axes["seed"].where(axes["seed"].isna(), 0)))
    return labels.assign(seed=axes["seed"])


def _binned(group: pd.DataFrame) -> pd.DataFrame:
    """The rows of one data set: one for each way and range with answers."""
    least, largest = float(group["value"].min()), float(group["value"].max())
    width = (largest - least) / BINS or 1.0
    places = np.minimum(((group["value"] - least) / width).astype(int), BINS - 1)
    way = [*WAY_AXES, "metric", "label", "order"]
    counts = (
        group.assign(place=places).groupby([*way, "place"], sort=False, dropna=False)["value"].agg(["size", "sum"]).reset_index()
    )
    of_way = counts.groupby(way, sort=False, dropna=False)
    total = of_way["size"].transform("sum")
    low = least + counts["place"] * width
    binned = counts.assign(low=low, high=low + width, answers=counts["size"], share=counts["size"] / total)
    return binned.assign(mean=of_way["sum"].transform("sum") / total).sort_values(["order", "place"], kind="stable")


def score_distributions(scores: pd.DataFrame, predictions: pd.DataFrame, main: MainMetrics) -> Figure:
    """A strip for each way: the more of its answers have a score, the darker."""
    rows = distribution_rows(scores, predictions, main)
    y = alt.Y("label:N", title=None, sort=alt.EncodingSortField("order", op="min"), axis=alt.Axis(labelLimit=300, ticks=False))
    x = alt.X("low:Q", title=_metric_title(rows), scale=alt.Scale(zero=False, nice=False))
    tooltip = [alt.Tooltip("label:N", title="way"), alt.Tooltip("answers:Q"), alt.Tooltip("share:Q", format=".1%")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("low", "high", "mean")]
    opacity = alt.Opacity(
        "share:Q",
        title="share of answers",
        scale=alt.Scale(type="sqrt", range=[0.08, 1]),
        legend=alt.Legend(format=".0%", tickCount=4),
    )
    strips = (
        alt.Chart()
        .mark_bar(height=alt.RelativeBandSize(0.8), color="#0072B2")
        .encode(x, alt.X2("high:Q"), y, opacity, tooltip=tooltip)
    )
    means = alt.Chart().mark_tick(thickness=2, color="#D55E00", height=14).encode(alt.X("mean:Q"), y)
    chart = first_rows(alt.layer(strips, means, data=ROWS), "order").properties(width=300, height=alt.Step(16))
    return figure_of(in_panels(chart, ["x", "y"], columns=2), rows, panels_note(rows, "label"))


def _metric_title(rows: pd.DataFrame) -> str:
    metrics = distinct(rows["metric"])
    return metrics[0] if len(metrics) == 1 else "score in the main metric"


def seed_rows(summary: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The mean of each run on its own task, for ways with several seeds."""
    rows = main.rows(summary).assign(metric=metric_names)
    rows = rows[on_own_task(rows)].dropna(subset="mean")
    labelled = with_labels(rows.assign(seed=pd.array([0] * len(rows), dtype="Int64"))).assign(seed=rows["seed"])
    several = labelled.groupby(WAY_AXES, sort=False, dropna=False)["seed"].transform("nunique") > 1
    return with_panels(labelled.loc[several, SEEDS])


def scores_over_seeds(summary: pd.DataFrame, main: MainMetrics) -> Figure:
    """A box for each way over the means of its trainings, with a point for each."""
    rows = seed_rows(summary, main)
    y = alt.Y("label:N", title=None, sort=alt.EncodingSortField("order", op="min"), axis=alt.Axis(labelLimit=300, ticks=False))
    x = alt.X("mean:Q", title=mean_title(distinct(rows["metric"])), scale=alt.Scale(zero=False))
    tooltip = [alt.Tooltip("label:N", title="way"), alt.Tooltip("seed:Q"), alt.Tooltip("mean:Q", format=".4~g")]
    boxes = alt.Chart().mark_boxplot(size=9, outliers=False, opacity=0.5, color="#56B4E9", rule=True).encode(x, y)
    points = alt.Chart().mark_point(filled=True, size=25, color="#D55E00", opacity=0.9).encode(x, y, tooltip=tooltip)
    chart = first_rows(alt.layer(boxes, points, data=ROWS), "order").properties(width=300, height=alt.Step(16))
    return figure_of(in_panels(chart, ["x", "y"], columns=2), rows, panels_note(rows, "label"))
