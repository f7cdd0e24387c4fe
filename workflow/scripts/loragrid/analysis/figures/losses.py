"""Loss curves of all trainings."""

from __future__ import annotations

import altair as alt
import pandas as pd

from loragrid.analysis.columns import ASKED, RUN
from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, first_rows, in_panels, panels_note, with_panels
from loragrid.analysis.figures.ways import RUN_AXES, with_labels
from loragrid.layout import USUAL, Run

MOST_POINTS = 100
"""Of a training's loss; longer courses are shown as means over neighbouring steps."""

COLUMNS = [*RUN_AXES, "label", "order", "curve", "step", "loss"]
TRAINING, VALIDATION = "training", "validation"


def loss_rows(losses: pd.DataFrame) -> pd.DataFrame:
    """Points of each training's loss, and of its loss on validation examples."""
    if losses.empty:
        return with_panels(pd.DataFrame(columns=[*COLUMNS, "metric"]), [])
    labelled = with_labels(axes_of_runs(losses))
    points = _points(losses)
    found = points.merge(labelled, on=RUN)[COLUMNS].astype({"step": "int64"})
    panels = found["task"] + ", " + found["sample_type"]
    return with_panels(found, panels.tolist()).sort_values(["panel_order", "order"], kind="stable")


def axes_of_runs(table: pd.DataFrame) -> pd.DataFrame:
    """The axes of the runs that a table is about, on the data sets that they were trained for."""
    runs = table[RUN].drop_duplicates().reset_index(drop=True)
    parsed = [Run.parse(name, base_model) for name, base_model in zip(runs["run"], runs["base_model"], strict=True)]
    axes = pd.DataFrame(
        {
            name: [getattr(run, name, None) for run in parsed]
            for name in ("mix", "nb_samples", "config", "loss_computation", "seed")
        }
    ).astype({"nb_samples": "Int64", "seed": "Int64"})
    trained = {"trained_task": runs["task"], "trained_sample_type": runs["sample_type"]}
    return pd.concat([runs, axes], axis=1).assign(**trained, **dict(zip(ASKED, USUAL, strict=True)))


def _points(losses: pd.DataFrame) -> pd.DataFrame:
    """Of each training means over at most `MOST_POINTS` parts of about as many steps, and every validation."""
    of_training = losses.dropna(subset="train_loss")
    of_run = of_training.groupby(RUN, sort=False)["step"]
    part = of_run.cumcount() * MOST_POINTS // of_run.transform("size").clip(lower=MOST_POINTS)
    groups = of_training.assign(part=part).groupby([*RUN, "part"], sort=False, as_index=False)
    means = groups.agg(step=("step", "last"), loss=("train_loss", "mean")).drop(columns="part").assign(curve=TRAINING)
    validated = losses.dropna(subset="validation_loss")[[*RUN, "step", "validation_loss"]]
    validated = validated.rename(columns={"validation_loss": "loss"}).assign(curve=VALIDATION)
    return pd.concat([means, validated], ignore_index=True)


def loss_curves(losses: pd.DataFrame) -> Figure:
    """Training loss (thin) and validation loss (points) over the optimiser steps."""
    rows = loss_rows(losses)
    x = alt.X("step:Q", title="optimiser step", axis=alt.Axis(grid=False))
    y = alt.Y("loss:Q", title="loss per target token", scale=alt.Scale(zero=False))
    colour = alt.Color("label:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=3, symbolOpacity=1))
    shape = alt.Shape("label:N", title=None, sort=None, legend=None)
    tooltip = [
        alt.Tooltip("label:N", title="run"),
        alt.Tooltip("curve:N"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("loss:Q", format=".4~g"),
    ]
    training = alt.Chart().transform_filter(f"datum.curve == '{TRAINING}'").mark_line(strokeWidth=0.9, strokeOpacity=0.6)
    validation = alt.Chart().transform_filter(f"datum.curve == '{VALIDATION}'")
    layers = [
        training.encode(x, y, colour),
        validation.mark_line(strokeWidth=1.2, strokeDash=[4, 2]).encode(x, y, colour),
        validation.mark_point(filled=True, size=35, fillOpacity=0.9).encode(x, y, colour, shape, tooltip=tooltip),
    ]
    chart = first_rows(alt.layer(*layers, data=ROWS), "order").properties(width=250, height=190)
    return figure_of(in_panels(chart, ["x"]), rows, panels_note(rows, "label"))
