"""Short names of runs, for readers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from loragrid.analysis.columns import ASKED, RUN
from loragrid.analysis.comparisons import tests_foreign_sample_types
from loragrid.layout import BASE, BASELINE, USUAL

TRAINED: Sequence[tuple[str, str]] = (("mix", "{}"), ("config", "{}"), ("loss_computation", "{} loss"), ("seed", "seed {}"))
"""Axes of runs, and how a label names their values."""


ASKED_OTHERWISE = tuple(zip(ASKED, USUAL, ("{}", "prompt {}", "{}"), strict=True))
"""Ways of asking, the usual value of each, and how a label names another value."""


def label_runs(runs: pd.DataFrame) -> list[str]:
    """A short name for each run. It names the axes in which the given runs differ, and always the number of samples.

    External predictions keep their own name; trivial baselines are named as such. The label of a run tells if the run is asked in
    another way than usual, or was trained for another task than it is evaluated on. If a run is evaluated on another sample type
    than it was trained on, the labels of all runs tell what they were trained on. Values that are missing are not named.
    """
    varying = [(axis, text) for axis, text in TRAINED if runs.loc[runs["run"] != BASE, axis].nunique() > 1]
    if tests_foreign_sample_types(runs):
        varying.insert(0, ("trained_sample_type", "trained on {}"))
    return [_label(run, varying) for _, run in runs.iterrows()]


def _label(run: pd.Series, varying: Sequence[tuple[str, str]]) -> str:
    """The label of one run.

    Args:
        varying: the axes to name, and how.
    """
    asked = [
        text.format(run[column]) for column, usual, text in ASKED_OTHERWISE if pd.notna(run[column]) and run[column] != usual
    ]
    if run.get("base_model") == BASELINE:
        return f"{run['run'].replace('_', ' ')} (baseline)"
    if pd.isna(run["trained_task"]):
        return ", ".join([run["run"], *asked])
    is_foreign = run["trained_task"] != run["task"]
    named = [(axis, text) for axis, text in varying if not (is_foreign and axis == "trained_sample_type")]
    axes = [text.format(run[axis]) for axis, text in named if pd.notna(run[axis])]
    size = [f"n={int(run['nb_samples'])}"] if pd.notna(run["nb_samples"]) else []
    parts = [*size, *axes, *asked]
    if is_foreign:
        parts.append(f"from {run['trained_task']}/{run['trained_sample_type']}")
    return ", ".join(parts)


def run_labels(predictions: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The short name of each run on the data set that it was trained for, by base model, task, sample type and run."""
    runs = predictions.drop_duplicates(["base_model", "run"]).dropna(subset="trained_task")
    trained = runs.assign(task=runs["trained_task"], sample_type=runs["trained_sample_type"])
    trained = trained.assign(**dict(zip(ASKED, USUAL, strict=True)))
    return {tuple(key): label for key, label in zip(trained[RUN].to_numpy(), label_runs(trained), strict=True)}
