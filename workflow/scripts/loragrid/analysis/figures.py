"""Figures of the report: small multiples, one panel per data set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from loragrid.analysis.columns import ASKED, EVALUATED
from loragrid.analysis.comparisons import on_own_task, tests_foreign_sample_types
from loragrid.analysis.findings import of_metric
from loragrid.layout import BASE, BASELINE
from loragrid.runtime.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's colours; colour-blind readers can tell them apart too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


DATASET = EVALUATED[1:]


CURVE = ["mix", "config", "loss_computation", *ASKED]


# The same figure has the same bytes.
mpl.rcParams.update({"svg.hashsalt": "loragrid", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9})


def panels(
    datasets: Sequence[tuple[str, ...]], xlabel: str, ylabel: str, title: str = "{}/{}"
) -> tuple[Figure, dict[tuple[str, ...], Axes]]:
    """A figure with one panel per data set, three in a row, on common axes.

    Args:
        title: names task and sample type of a panel.
    """
    columns = min(3, len(datasets)) or 1
    rows = math.ceil(len(datasets) / columns) or 1
    figure = Figure(figsize=(0.6 + 2.9 * columns, 0.7 + 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
    several_models = len({dataset[0] for dataset in datasets}) > 1
    by_dataset = {}
    for axis, dataset in zip(axes, datasets, strict=False):
        axis.set_title(title.format(*dataset[1:]) + (f" ({dataset[0]})" if several_models else ""), fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        by_dataset[dataset] = axis
    for axis in list(axes)[len(datasets) :]:
        axis.set_visible(False)
    figure.supxlabel(xlabel, fontsize=9)
    figure.supylabel(ylabel, fontsize=9)
    return figure, by_dataset


def groups(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """The groups of a table in order of appearance, with their keys as tuples of text."""
    for key, group in table.groupby(list(by), sort=False, dropna=False):
        yield tuple(map(str, key)), group


def add_legend(figure: Figure, axes: dict[tuple[str, ...], Axes]) -> None:
    """One legend above all panels, each label once."""
    handles: dict[str, Any] = {}
    for axis in axes.values():
        lines, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, lines, strict=True))
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def learning_curves(summary: pd.DataFrame, metric: str) -> Figure:
    """The mean of a metric, with its standard error, over the number of training examples.

    The base model is at 0, the best trivial baseline is a line. A panel is about the test questions of a task and the references
    of a sample type. Runs that were trained for another task are left out, and so are panels without runs. With several seeds, a
    point is the mean over them, and its bar is their mean standard error.
    """
    results = of_metric(summary, metric)
    of_runs = results[on_own_task(results)]
    bases = results[results["run"] == BASE]
    by_dataset = {
        dataset: table for dataset, table in groups(pd.concat([bases, of_runs]), EVALUATED) if (table["run"] != BASE).any()
    }
    title = "{}, references: {}"
    figure, axes = panels(list(by_dataset), "training examples (0: base model)", f"mean {metric}", title)
    # Where all runs are tested on the sample type that they were trained on, the panel's title names it.
    by = ["trained_sample_type", *CURVE] if tests_foreign_sample_types(of_runs) else CURVE
    curves = list(dict(groups(of_runs, by)))
    varying = [i for i in range(len(by)) if len({curve[i] for curve in curves}) > 1] or [by.index("mix"), by.index("config")]
    ticks = sorted({0, *map(int, of_runs["nb_samples"])})
    for dataset, axis in axes.items():
        table = by_dataset[dataset]
        for curve, runs in groups(table[table["run"] != BASE], by):
            base = table[(table["run"] == BASE) & (table[ASKED] == list(curve[-len(ASKED) :])).all(axis=1)]
            named = [f"trained on {curve[i]}" if by[i] == "trained_sample_type" else curve[i] for i in varying]
            draw_curve(axis, base, runs, COLOURS[curves.index(curve) % len(COLOURS)], ", ".join(named))
        baselines = results[(results["base_model"] == BASELINE) & (results[DATASET] == list(dataset[1:])).all(axis=1)]
        if len(baselines):
            best = baselines["mean"].min() if baselines["lower_is_better"].any() else baselines["mean"].max()
            axis.axhline(best, color="#777777", linestyle=":", linewidth=1.2, label="best trivial baseline")
        axis.set_xticks(ticks)
    add_legend(figure, axes)
    return figure


def draw_curve(axis: Axes, base: pd.DataFrame, runs: pd.DataFrame, colour: str, label: str) -> None:
    """Draw the means of a base model and of its runs over their numbers of training examples."""
    points = runs.groupby("nb_samples")[["mean", "standard_error"]].mean()
    x = [0] * len(base) + [int(n) for n in points.index]
    y = [*base["mean"], *points["mean"]]
    errors = [*base["standard_error"], *points["standard_error"]]
    axis.errorbar(x, y, errors, marker="o", markersize=4, capsize=2, linewidth=1.4, color=colour, label=label)


def loss_curves(losses: pd.DataFrame, labels: dict[tuple[str, ...], str]) -> Figure:
    """Training loss (thin) and validation loss (dots) over the optimiser steps, one colour per label.

    Args:
        labels: the short name of each run, by base model, task, sample type and run.
    """
    by_dataset = dict(groups(losses, EVALUATED))
    figure, axes = panels(list(by_dataset), "optimiser step", "loss per target token")
    colours: dict[str, str] = {}
    for dataset, axis in axes.items():
        for (run,), course in groups(by_dataset[dataset], ["run"]):
            label = labels.get((*dataset, run), run)
            colour = colours.setdefault(label, COLOURS[len(colours) % len(COLOURS)])
            axis.plot(course["step"], course["train_loss"], linewidth=0.9, alpha=0.55, color=colour)
            validated = course.dropna(subset=["validation_loss"])
            axis.plot(validated["step"], validated["validation_loss"], "o-", markersize=3.5, color=colour, label=label)
    add_legend(figure, axes)
    return figure


def length_histograms(lengths: pd.DataFrame) -> Figure:
    """How long inputs and outputs are, one panel per data set: in tokens of the first base model, or else in words.

    The longest hundredth of the texts is not shown.
    """
    unit = "tokens" if (lengths["unit"] == "tokens").any() else "words"
    of_unit = lengths[lengths["unit"] == unit]
    first = of_unit[of_unit["tokenizer"] == of_unit["tokenizer"].iloc[0]] if len(of_unit) else of_unit
    by_dataset = {("", *key[0].split("/")): group for key, group in groups(first, ["of"])}
    figure, axes = panels(list(by_dataset), f"length in {unit}", "examples of all splits")
    # The longest hundredth would leave no room for the others.
    longest = max(1.0, float(first["length"].quantile(0.99))) if len(first) else 1.0
    for dataset, axis in axes.items():
        for colour, (field, group) in zip(COLOURS, by_dataset[dataset].groupby("field", sort=False), strict=False):
            axis.hist(group["length"], bins=40, range=(0, longest), color=colour, alpha=0.6, label=str(field))
    add_legend(figure, axes)
    return figure


def save_figure(figure: Figure, *paths: str | Path) -> None:
    """Write a figure as SVG or PNG, by the ending of each path, whole or not at all."""
    for path in map(Path, paths):
        file_format = path.suffix.removeprefix(".")
        with written_whole(path) as temporary:
            figure.savefig(temporary, format=file_format, dpi=150, metadata={"Date": None} if file_format == "svg" else None)
