"""What quality costs, and how long jobs and answers took."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from loragrid.analysis.columns import AXES, MODEL, RUN
from loragrid.analysis.comparisons import on_own_task
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, in_panels, panels_note, with_panels
from loragrid.analysis.figures.losses import axes_of_runs
from loragrid.analysis.figures.names import mean_title
from loragrid.analysis.figures.ways import RUN_AXES, WAY_AXES, distinct, metric_names, named_ways
from loragrid.analysis.findings import signs
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import BASE, BASELINE

QUALITY = [*WAY_AXES, "metric", "label", "order", "of", "seconds", "mean", "low", "high", "quality", "n", "seeds"]
TRAINING, ANSWERING = "training", "answering"

TIMES = [*RUN_AXES, "of", "low", "high", "count"]
A_TRAINING, AN_ANSWER = "a training", "an answer"

PER_DECADE = 5
"""Ranges of seconds between two powers of ten."""


def cost_rows(
    ways: pd.DataFrame, training_costs: pd.DataFrame, prediction_costs: pd.DataFrame, predictions: pd.DataFrame, main: MainMetrics
) -> pd.DataFrame:
    """Each way on its own task with its mean, and its seconds of both kinds, as means over seeds.

    `quality` is the mean, or minus the mean where less is better.
    """
    rows = main.rows(ways).dropna(subset="mean")
    rows = rows[(on_own_task(rows) | rows["trained_task"].isna()) & (rows["base_model"] != BASELINE)]
    rows = named_ways(rows).assign(metric=metric_names, quality=lambda table: table["mean"] * signs(table))
    of_runs = axes_of_runs(training_costs).assign(seconds=training_costs["training_s"].to_numpy())
    of_models = predictions[AXES].drop_duplicates(MODEL).merge(prediction_costs[[*MODEL, "s_per_example"]], on=MODEL)
    training = _mean_seconds(rows, of_runs, ["base_model", *TRAINED]).where(rows["way"] != BASE, 0.0)
    answering = _mean_seconds(rows, of_models.rename(columns={"s_per_example": "seconds"}), WAY_AXES)
    both = [rows.assign(of=of, seconds=seconds) for of, seconds in ((TRAINING, training), (ANSWERING, answering))]
    found = pd.concat(both, ignore_index=True).dropna(subset="seconds")
    if found.empty:
        return with_panels(pd.DataFrame(columns=QUALITY))
    named = with_panels(found[QUALITY])
    panels = named["panel"] + " · " + named["of"]
    in_order = named.assign(panel=panels).sort_values("panel_order", kind="stable")
    return in_order.assign(panel_order=pd.factorize(in_order["panel"])[0])


def _mean_seconds(rows: pd.DataFrame, measured: pd.DataFrame, axes: Sequence[str]) -> pd.Series:
    """For each row the mean of the measured seconds that have the same values on some axes; NaN without any."""
    means = measured["seconds"].astype(float).groupby(_keys(measured, axes)).mean().to_dict()
    return pd.Series([means.get(key, np.nan) for key in _keys(rows, axes)], index=rows.index, dtype=float)


def _keys(table: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The values of each row in some columns, as one text: columns without values have other types than those with some."""
    values = table[list(columns)].astype(object)
    return [repr(tuple(None if pd.isna(value) else str(value) for value in row)) for row in values.itertuples(index=False)]


def cost_quality(
    ways: pd.DataFrame, training_costs: pd.DataFrame, prediction_costs: pd.DataFrame, predictions: pd.DataFrame, main: MainMetrics
) -> Figure:
    """Points of ways by seconds and mean, and the front of those that nothing beats at the same cost or less."""
    rows = cost_rows(ways, training_costs, prediction_costs, predictions, main)
    x = alt.X(
        "seconds:Q",
        title="seconds of a run's training, or of an answer",
        scale=alt.Scale(type="sqrt", zero=False),
        axis=alt.Axis(tickCount=5, format=".3~r"),
    )
    y = alt.Y("mean:Q", title=mean_title(distinct(rows["metric"])), scale=alt.Scale(zero=False))
    tooltip = [alt.Tooltip("label:N", title="way")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("seconds", "mean", "low", "high", "seeds")]
    label = alt.Color(
        "label:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=3, symbolLimit=40, symbolOpacity=1)
    )
    best = alt.WindowFieldDef(op="max", field="quality", **{"as": "best"})
    best_before = alt.WindowFieldDef(op="lag", field="best", **{"as": "best_before"})
    # In Vega, so that filters leave the front of what is shown.
    cheapest_first = [alt.SortField("seconds"), alt.SortField("quality", order="descending")]
    front = (
        alt.Chart()
        .transform_window([best], sort=cheapest_first, groupby=["panel"])
        .transform_window([best_before], sort=cheapest_first, groupby=["panel"])
        .transform_filter("!isValid(datum.best_before) || datum.quality > datum.best_before")
        .mark_line(interpolate="step-after", strokeWidth=1.3, strokeDash=[4, 2], color="#8C8C8C")
        .encode(x, y, order=alt.Order("seconds:Q"))
    )
    shape = alt.Shape("label:N", title=None, sort=None, legend=None)
    intervals = alt.Chart().mark_rule(opacity=0.35).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), label)
    points = alt.Chart().mark_point(filled=True, size=55, opacity=0.9).encode(x, y, label, shape, tooltip=tooltip)
    chart = alt.layer(intervals, front, points, data=ROWS).properties(width=300, height=200)
    return figure_of(in_panels(chart, ["x", "y"], columns=2), rows, panels_note(rows))


def time_rows(training_costs: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """How many trainings and answers took a time in each range, by run. `low` and `high` are in seconds."""
    trainings = axes_of_runs(training_costs).merge(training_costs[[*RUN, "training_s"]], on=RUN)
    trainings = trainings.rename(columns={"training_s": "seconds"}).assign(of=A_TRAINING)
    answers = predictions.dropna(subset="runtime_s").rename(columns={"runtime_s": "seconds"}).assign(of=AN_ANSWER)
    both = pd.concat([trainings[[*RUN_AXES, "of", "seconds"]], answers[[*RUN_AXES, "of", "seconds"]]], ignore_index=True)
    both = both[both["seconds"] > 0]
    if both.empty:
        return with_panels(pd.DataFrame(columns=[*TIMES, "metric"]), [])
    places = np.floor(np.log10(both["seconds"].astype(float)) * PER_DECADE).astype(int)
    counts = (
        both.assign(range=places)
        .groupby([*RUN_AXES, "of", "range"], sort=False, dropna=False)
        .size()
        .rename("count")
        .reset_index()
    )
    low, high = (10.0 ** ((counts["range"] + more) / PER_DECADE) for more in (0, 1))
    found = counts.assign(low=low, high=high)[TIMES]
    return with_panels(found, ("Seconds of " + found["of"]).tolist())


def run_times(training_costs: pd.DataFrame, predictions: pd.DataFrame) -> Figure:
    """Histograms of seconds, by base model."""
    rows = time_rows(training_costs, predictions)
    x = alt.X("low:Q", title="seconds", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=".3~r", tickCount=5))
    height = alt.Y("sum(count):Q", title="number", stack="zero")
    colour = alt.Color("base_model:N", title="base model", sort=None)
    tooltip = [alt.Tooltip("base_model:N"), alt.Tooltip("sum(count):Q", title="number")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("low", "high")]
    bars = alt.Chart(ROWS).mark_bar(binSpacing=1).encode(x, alt.X2("high:Q"), height, colour, tooltip=tooltip)
    return figure_of(in_panels(bars.properties(width=300, height=170), ["x", "y"], columns=2), rows, panels_note(rows))
