"""What training on one task does on the others: maps of ways × data sets that they are tested on."""

from __future__ import annotations

import altair as alt
import pandas as pd

from loragrid.analysis.columns import SETUP
from loragrid.analysis.comparisons import on_own_task
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.figures.figure import MOST_ROWS, ROWS, Figure, figure_of, first_rows
from loragrid.analysis.figures.theme import ON_COLOUR, ON_PALE
from loragrid.analysis.figures.ways import WAY_AXES, distinct, metric_names
from loragrid.analysis.findings import signs
from loragrid.analysis.labels import label_runs
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import BASE

SCORES = [*WAY_AXES, "metric", "tested_on", "label", "order", "mean", "low", "high", "n", "seeds", "place"]
DIFFERENCES = [*WAY_AXES, "metric", "tested_on", "label", "order", "difference", "low", "high", "verdict", "n", "seeds", "share"]
CELL = 44


def transfer_score_rows(ways: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The mean of each way that is tested on other tasks too, and of base models, on each data set.

    `place` is where the mean stands between the worst (0) and the best (1) on the data set.
    """
    rows = main.rows(ways)
    foreign = _foreign(rows)
    is_base = (rows["way"] == BASE) & rows["base_model"].isin(foreign["base_model"])
    shown = pd.concat([rows[is_base], rows.merge(foreign, on=list(foreign))]) if len(foreign) else rows.iloc[:0]
    shown = shown.dropna(subset="mean")
    shown = _labelled(shown)
    quality = shown["mean"] * signs(shown)
    by_column = quality.groupby(shown["tested_on"], sort=False)
    lowest, highest = by_column.transform("min"), by_column.transform("max")
    span = (highest - lowest).where(highest > lowest)
    return shown.assign(place=((quality - lowest) / span).fillna(1.0))[SCORES].sort_values("order", kind="stable")


def transfer_difference_rows(contrasts: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The difference from the base model of each way that is tested on other tasks too, on each data set.

    `share` is the gain (less than 0: a loss) as a share of the largest difference in the same metric.
    """
    rows = main.rows(contrasts[(contrasts["axis"] == "training") & (contrasts["tasks"] == "")])
    rows = rows[rows["kind"] == "difference"]
    foreign = _foreign(rows)
    shown = rows.merge(foreign, on=list(foreign)) if len(foreign) else rows.iloc[:0]
    shown = _labelled(shown.dropna(subset="difference"))
    gain = shown["difference"] * signs(shown)
    largest = gain.abs().groupby(shown["metric"], sort=False).transform("max")
    share = gain / largest.where(largest > 0, 1.0)
    return shown.assign(share=share)[DIFFERENCES].sort_values("order", kind="stable")


def _foreign(rows: pd.DataFrame) -> pd.DataFrame:
    """The base model and setup of ways that are tested on another task than they were trained for."""
    is_foreign = rows["trained_task"].notna() & ~on_own_task(rows)
    return rows.loc[is_foreign, ["base_model", *SETUP]].drop_duplicates()


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the names of their line, their column and their metric, and the number of the line."""
    metrics = metric_names(rows)
    data_set = rows["task"] + "/" + rows["sample_type"]
    several = metrics.nunique() > 1
    tested_on = data_set + " · " + metrics if several else data_set
    # As if all were tested where they were trained: a line has one name in all columns.
    trained = rows["trained_task"].notna()
    at_home = rows.assign(
        run=rows["way"],
        seed=pd.array([0] * len(rows), dtype="Int64"),
        task=rows["trained_task"].where(trained, rows["task"]),
        sample_type=rows["trained_sample_type"].where(trained, rows["sample_type"]),
    )
    of_task = rows["trained_task"].fillna("") + "/" + rows["trained_sample_type"].fillna("") + ": "
    labels = of_task.where(trained, "") + pd.Series(label_runs(at_home), index=rows.index, dtype=object)
    if rows["base_model"].nunique() > 1:
        labels = rows["base_model"] + ": " + labels
    order = {key: place for place, key in enumerate(_in_order(rows))}
    keys = rows[["base_model", *TRAINED, *SETUP[-3:]]].astype(str).itertuples(index=False, name=None)
    return rows.assign(metric=metrics, tested_on=tested_on, label=labels, order=[order[key] for key in keys])


def _in_order(rows: pd.DataFrame) -> list[tuple[str, ...]]:
    """The lines, base models first, then by what they were trained on, in order of appearance."""
    keys = rows[["base_model", *TRAINED, *SETUP[-3:]]]
    first = keys["trained_task"].isna().map({True: 0, False: 1})
    tasks = {task: place for place, task in enumerate(distinct(rows["trained_task"].dropna()))}
    sorting = pd.DataFrame({"first": first, "task": keys["trained_task"].map(tasks).fillna(-1)})
    in_order = keys.loc[sorting.sort_values(["first", "task"], kind="stable").index].astype(str)
    return list(dict.fromkeys(in_order.itertuples(index=False, name=None)))


def transfer_scores(ways: pd.DataFrame, main: MainMetrics) -> Figure:
    """A map of means: the better in its column, the stronger the colour."""
    rows = transfer_score_rows(ways, main)
    legend = alt.Legend(
        title="in its column", gradientLength=90, labelExpr="datum.value == 0 ? 'worst' : datum.value == 1 ? 'best' : ''"
    )
    fill = alt.Color("place:Q", scale=alt.Scale(domain=[0, 1], range="ramp"), legend=legend)
    strong = alt.condition("datum.place > 0.6", alt.value(ON_COLOUR), alt.value(ON_PALE))
    return _map(rows, alt.Chart().mark_rect().encode(fill), "mean", strong, ["mean", "low", "high", "n", "seeds"])


def transfer_differences(contrasts: pd.DataFrame, main: MainMetrics) -> Figure:
    """A map of differences from the base model: only what a verdict decides is filled."""
    rows = transfer_difference_rows(contrasts, main)
    legend = alt.Legend(
        title="than the base model", gradientLength=90, labelExpr="datum.value == -1 ? 'worse' : datum.value == 1 ? 'better' : ''"
    )
    scale = alt.Scale(domain=[-1, 0, 1], range="diverging")
    decided = "indexof(['better', 'worse', 'equivalent'], datum.verdict) >= 0"
    outline = (
        alt.Chart()
        .mark_rect(fillOpacity=0, strokeOpacity=0.9, strokeWidth=1.5)
        .encode(stroke=alt.Stroke("share:Q", scale=scale, legend=None))
    )
    filled = alt.Chart().transform_filter(decided).mark_rect().encode(alt.Fill("share:Q", scale=scale, legend=legend))
    pale = f"{decided} && abs(datum.share) <= 0.6"
    words = alt.condition(pale, alt.value(ON_PALE), alt.value(ON_COLOUR))
    figures = ["difference", "low", "high", "n", "seeds"]
    return _map(rows, alt.layer(outline, filled), "difference", words, figures, undecided=f"!({decided})")


def _map(
    rows: pd.DataFrame,
    cells: alt.Chart | alt.LayerChart,
    value: str,
    colour: object,
    figures: list[str],
    undecided: str = "false",
) -> Figure:
    """A map with the value written in each cell.

    Args:
        colour: of words on filled cells.
        undecided: which cells are not filled; their words have the page's colour.
    """
    x = alt.X(
        "tested_on:N", title="tested on", sort=None, axis=alt.Axis(orient="top", labelAngle=-35, labelLimit=220, grid=False)
    )
    y = alt.Y("label:N", title=None, sort=alt.EncodingSortField("order"), axis=alt.Axis(labelLimit=380, grid=False))
    tooltip = [alt.Tooltip("label:N", title="way"), alt.Tooltip("tested_on:N", title="tested on")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".4~g") for name in figures]
    tooltip += [alt.Tooltip("verdict:N")] if "verdict" in rows else []
    number = alt.Text(f"{value}:Q", format="+.3f" if value == "difference" else ".3f")
    words = alt.Chart().mark_text(fontSize=9).encode(number, tooltip=tooltip)
    on_filled = words.transform_filter(f"!({undecided})").encode(color=colour)
    layers = [cells, on_filled, *([words.transform_filter(undecided)] if undecided != "false" else [])]
    chart = alt.layer(*layers, data=ROWS).encode(x=x, y=y)
    lines = rows["label"].nunique()
    note = f"At most {MOST_ROWS} of {lines} ways are drawn; the file of data has all." if lines > MOST_ROWS else ""
    return figure_of(first_rows(chart, "order", by=None).properties(width=alt.Step(CELL), height=alt.Step(20)), rows, note)
