"""Differences between ways, with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.sentences import differing
from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, first_rows, in_panels, panels_note
from loragrid.analysis.figures.names import DIFFERENCE
from loragrid.analysis.figures.theme import VERDICT_SHAPES, VERDICTS
from loragrid.analysis.figures.ways import WAY_AXES, metric_names
from loragrid.analysis.main_metrics import MainMetrics

COLUMNS = [*WAY_AXES, "axis", "kind", "tasks", "family", "metric", "label", "mean", "other_mean", "difference", "low", "high"]
COLUMNS += ["verdict", "sentence", "smallest_difference", "n", "seeds", "size"]


NAMED = {
    "base_model": "{}",
    "nb_samples": "n={}",
    "trained_sample_type": "trained on {}",
    "mix": "{}",
    "config": "{}",
    "loss_computation": "{} loss",
    "prompting": "{}",
    "prompt_variant": "prompt {}",
    "decoding": "{}",
}
"""The axes that a label names if contrasts differ in them, and how."""


def contrast_rows(contrasts: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """The contrasts in main metrics, a panel for each family and data set, or kind of mean; those declared beforehand first.

    `size` is the absolute difference: the order of the rows of a panel.
    """
    rows = main.rows(contrasts).dropna(subset="difference")
    varying = [name for name in NAMED if name == "nb_samples" or rows[name].nunique() > 1]
    rows = rows.assign(
        metric=metric_names,
        label=[_label(row, varying) for row in rows.to_dict("records")],
        verdict=rows["verdict"].where(rows["verdict"] != "", "too little data"),
        size=rows["difference"].abs(),
    )
    rows = rows[COLUMNS].assign(panel=[_panel(row) for row in rows[COLUMNS].to_dict("records")])
    is_exploratory, is_mean = rows["family"] == EXPLORATORY, rows["tasks"] != ""
    order = pd.DataFrame({"later": is_exploratory, "mean": is_mean, "slope": rows["kind"] == "slope"})
    rows = rows.loc[order.sort_values(["later", "mean", "slope"], kind="stable").index]
    order_of_panels = pd.factorize(rows["panel"])[0] if len(rows) else pd.Series(dtype=int)
    # Where a row is about no tasks but its own, a file of data has nothing.
    rows = rows.assign(panel_order=order_of_panels, tasks=rows["tasks"].where(rows["tasks"] != "", None))
    return rows.sort_values(["panel_order", "size"], ascending=[True, False], kind="stable")


def _label(row: Mapping[Hashable, Any], varying: Sequence[str]) -> str:
    """What is compared, and what both ways have in common."""
    shown = [name for name in varying if name not in str(row["axis"]).split("*") and pd.notna(row[name])]
    common = [NAMED[name].format(row[name]) for name in shown]
    if pd.notna(row["trained_task"]) and not row["tasks"] and row["trained_task"] != row["task"]:
        common.append(f"from {row['trained_task']}/{row['trained_sample_type']}")
    if row["axis"] == "training":
        return f"{', '.join(common) or 'fine-tuned'} – base model"
    beside = f" ({', '.join(common)})" if common else ""
    if row["kind"] == "slope":
        return f"slope for each doubling of examples{beside}"
    kind = "interaction " if row["kind"] == "interaction" else ""
    return f"{kind}{differing(row['axis'])}: {row['own']} – {row['other']}{beside}"


def _panel(row: Mapping[Hashable, Any]) -> str:
    about = f"mean over {row['tasks']}" if row["tasks"] else f"{row['task']}, references: {row['sample_type']}"
    kind = "declared" if row["family"] != EXPLORATORY else "exploratory"
    slopes = ", slopes" if row["kind"] == "slope" else ""
    return f"{about} · {row['metric']} · {kind}{slopes}"


def contrast_intervals(contrasts: pd.DataFrame, main: MainMetrics) -> Figure:
    """A forest plot: a row for each contrast, with its interval and its verdict."""
    rows = contrast_rows(contrasts, main)
    y = alt.Y("label:N", title=None, sort=alt.EncodingSortField("size", op="max", order="descending"), axis=_words())
    verdicts = {"domain": list(VERDICTS), "range": list(VERDICTS.values())}
    colour = alt.Color("verdict:N", title="verdict", scale=alt.Scale(**verdicts), legend=alt.Legend(orient="top"))
    shape = alt.Shape("verdict:N", title="verdict", scale=alt.Scale(domain=list(VERDICTS), range=VERDICT_SHAPES))
    tooltip = [alt.Tooltip("label:N", title="contrast"), alt.Tooltip("sentence:N"), alt.Tooltip("verdict:N")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("difference", "low", "high", "mean", "other_mean")]
    zero = alt.Chart().mark_rule(strokeDash=[3, 3], opacity=0.6).encode(x=alt.datum(0))
    intervals = alt.Chart().mark_rule(strokeWidth=1.5).encode(alt.X("low:Q", title=DIFFERENCE), alt.X2("high:Q"), y, colour)
    points = (
        alt.Chart().mark_point(filled=True, size=50, opacity=1).encode(alt.X("difference:Q"), y, colour, shape, tooltip=tooltip)
    )
    bounded = first_rows(alt.layer(zero, intervals, points, data=ROWS), "size", descending=True)
    chart = bounded.properties(width=380, height=alt.Step(16))
    return figure_of(in_panels(chart, ["x", "y"], columns=1), rows, panels_note(rows, "label"))


def _words() -> alt.Axis:
    """An axis of names."""
    return alt.Axis(labelLimit=340, ticks=False, domain=False, labelPadding=6, grid=True)
