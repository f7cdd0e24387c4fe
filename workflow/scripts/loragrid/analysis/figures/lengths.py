"""Histograms of tokens and lengths, and scores by the length of the answer."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, in_panels, panels_note, with_panels
from loragrid.analysis.figures.ways import WAY_AXES
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.scorer_study.answers import Answered, Metric

MOST_RANGES = 40

TOKENS = [*WAY_AXES, "kind", "of", "low", "high", "count"]
TOKENS_OF = {"prompt_tokens": "tokens of prompts", "new_tokens": "tokens of answers"}

BY_LENGTH = [*WAY_AXES, "name", "low", "high", "middle", "answers", "mean"]


def range_width(longest: float) -> int:
    """The width of at most `MOST_RANGES` ranges: 1, 2 or 5 times a power of ten."""
    least = max(longest / MOST_RANGES, 1.0)
    power = 10 ** int(np.floor(np.log10(least)))
    return int(next(power * step for step in (1, 2, 5, 10) if power * step >= least))


def token_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """How many prompts and answers of each way have so many tokens, for each data set."""
    parts = []
    for (task, sample_type), group in predictions.groupby(["task", "sample_type"], sort=False):
        for column, of in TOKENS_OF.items():
            known = group.dropna(subset=column)
            if known.empty:
                continue
            width = range_width(float(known[column].max()) + 1)
            low = (known[column].astype(int) // width) * width
            counts = (
                known.assign(low=low).groupby([*WAY_AXES, "low"], sort=False, dropna=False).size().rename("count").reset_index()
            )
            kind = counts["trained_task"].map(lambda name: "base model" if pd.isna(name) else "fine-tuned")
            panel = f"{task}, references: {sample_type} · {of}"
            parts.append(counts.assign(of=of, high=counts["low"] + width, kind=kind, panel=panel))
    if not parts:
        return with_panels(pd.DataFrame(columns=[*TOKENS, "metric"]), [])
    found = pd.concat(parts, ignore_index=True)
    return with_panels(found[TOKENS], found["panel"].tolist())


def tokens(predictions: pd.DataFrame) -> Figure:
    """Which share of prompts and answers has so many tokens, of base models and fine-tuned ones."""
    rows = token_rows(predictions)
    return figure_of(in_panels(_shares("kind", "tokens"), ["x", "y"], columns=2), rows, panels_note(rows))


def _shares(by: str, unit: str) -> alt.Chart:
    """Histograms that lie over each other, as shares of each one's total.

    Args:
        by: the column that tells the histograms apart.
    """
    total = alt.AggregatedFieldDef(op="sum", field="count", **{"as": "in_range"})
    counted = alt.Chart(ROWS).transform_aggregate([total], groupby=[by, "low", "high"])
    summed = counted.transform_joinaggregate(
        [alt.JoinAggregateFieldDef(op="sum", field="in_range", **{"as": "all"})], groupby=[by]
    )
    shared = summed.transform_calculate(share="datum.in_range / datum.all")
    tooltip = [alt.Tooltip(f"{by}:N"), alt.Tooltip("low:Q", title="from"), alt.Tooltip("high:Q", title="to below")]
    tooltip += [alt.Tooltip("share:Q", format=".1%"), alt.Tooltip("in_range:Q", title="number")]
    x = alt.X("low:Q", title=unit, axis=alt.Axis(tickCount=6, grid=False))
    y = alt.Y("share:Q", title="share", stack=None, axis=alt.Axis(format=".0%"))
    colour = alt.Color(f"{by}:N", title=None, sort=None, legend=alt.Legend(orient="top"))
    bars = shared.mark_bar(opacity=0.55, binSpacing=0).encode(x, alt.X2("high:Q"), y, alt.Y2Datum(0), colour, tooltip=tooltip)
    return bars.properties(width=300, height=150)


def by_length_rows(datasets: Sequence[Answered], main: MainMetrics) -> pd.DataFrame:
    """The mean score of the answers of each way whose length is in the same range, by judges or the main metric.

    Ranges double: 1 character, 2 to 3, 4 to 7 and so on; empty answers are left out.
    """
    parts = [_by_length(one, metric) for one in datasets for metric in _shown_metrics(one, main)]
    if not parts:
        return with_panels(pd.DataFrame(columns=[*BY_LENGTH, "metric"]), [])
    found = pd.concat(parts, ignore_index=True)
    return with_panels(found, (found["task"] + ", references: " + found["sample_type"]).tolist())


def _shown_metrics(one: Answered, main: MainMetrics) -> list[Metric]:
    """The judges' metrics of a data set; without any, its main metric."""
    judges = one.of_kind("judge")
    return judges or [metric for metric in one.metrics if f"{metric.scorer}/{metric.metric}" == main.of(one.task)]


def _by_length(one: Answered, metric: Metric) -> pd.DataFrame:
    score = one.column(metric)
    known = np.isfinite(score) & (one.characters > 0)
    power = np.floor(np.log2(one.characters[known])).astype(int)
    answers = pd.DataFrame({"way": one.ways[known], "power": power, "score": score[known]})
    means = answers.groupby(["way", "power"])["score"].agg(["size", "mean"]).reset_index()
    axes = pd.DataFrame([[one.all_ways[place]._asdict()[name] for name in WAY_AXES] for place in means["way"]], columns=WAY_AXES)
    low = 2 ** means["power"]
    return axes.astype({"nb_samples": "Int64"}).assign(
        name=f"{metric.scorer}/{metric.metric}",
        low=low,
        high=2 * low,
        middle=low * np.sqrt(2),
        answers=means["size"],
        mean=means["mean"],
    )


def judge_length(datasets: Sequence[Answered], main: MainMetrics) -> Figure:
    """The mean score of answers by their length; large points stand for many answers."""
    rows = by_length_rows(datasets, main)
    weighted = alt.Chart(ROWS).transform_calculate(weighted="datum.mean * datum.answers")
    sums = [alt.AggregatedFieldDef(op="sum", field=name, **{"as": f"all_{name}"}) for name in ("weighted", "answers")]
    by_range = weighted.transform_aggregate(sums, groupby=["name", "middle", "low", "high"])
    means = by_range.transform_calculate(score="datum.all_weighted / datum.all_answers")
    x = alt.X(
        "middle:Q",
        title="characters of the answer",
        scale=alt.Scale(type="log", base=2, nice=False),
        axis=alt.Axis(format="~s", grid=False),
    )
    y = alt.Y("score:Q", title="mean score", scale=alt.Scale(zero=False))
    colour = alt.Color("name:N", title=None, sort=None, legend=alt.Legend(orient="top"))
    size = alt.Size("all_answers:Q", title="answers", scale=alt.Scale(range=[15, 160]))
    tooltip = [
        alt.Tooltip("name:N", title="metric"),
        alt.Tooltip("low:Q", title="from characters"),
        alt.Tooltip("high:Q", title="to below"),
    ]
    tooltip += [alt.Tooltip("all_answers:Q", title="answers"), alt.Tooltip("score:Q", format=".4~g")]
    lines = means.mark_line(strokeWidth=1.2, opacity=0.7).encode(x, y, colour)
    points = means.mark_point(filled=True).encode(x, y, colour, size, tooltip=tooltip)
    chart = alt.layer(lines, points, data=ROWS).properties(width=250, height=180)
    return figure_of(in_panels(chart, ["x", "y"]), rows, panels_note(rows))


LONGEST = 0.99
"""The longest hundredth would leave no room for the others."""


def text_length_rows(lengths: pd.DataFrame) -> pd.DataFrame:
    """How many inputs and outputs of each data set have a length in each range, in tokens of the first base model or in words.

    Args:
        lengths: as `data.counts.example_lengths` gives them, of data sets.
    """
    unit = "tokens" if (lengths["unit"] == "tokens").any() else "words"
    own = lengths[lengths["unit"] == unit]
    own = own[own["tokenizer"] == own["tokenizer"].iloc[0]] if len(own) else own
    columns = ["task", "sample_type", "field", "unit", "low", "high", "count"]
    if own.empty:
        return with_panels(pd.DataFrame(columns=[*columns, "metric"]), [])
    names = own["of"].str.split("/", n=1, expand=True)
    shown = own.assign(task=names[0], sample_type=names[1])
    shown = shown[shown["length"] <= shown["length"].quantile(LONGEST, interpolation="higher")]
    width = range_width(float(shown["length"].max()) + 1)
    low = (shown["length"].astype(int) // width) * width
    by = ["task", "sample_type", "field", "unit", "low"]
    counts = shown.assign(low=low).groupby(by, sort=False).size().rename("count").reset_index()
    found = counts.assign(high=counts["low"] + width)[columns]
    return with_panels(found, (found["task"] + ", " + found["sample_type"]).tolist())


def text_lengths(lengths: pd.DataFrame) -> Figure:
    """Which share of inputs and outputs is so long."""
    rows = text_length_rows(lengths)
    unit = str(rows["unit"].iloc[0]) if len(rows) else "words"
    return figure_of(in_panels(_shares("field", f"length in {unit}"), ["y"]), rows, panels_note(rows))
