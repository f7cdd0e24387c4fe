"""Short names of runs, for readers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from loragrid.analysis.columns import ASKED, RUN
from loragrid.layout import BASE, BASELINE, USUAL

TRAINED: Sequence[tuple[str, str]] = (("mix", "{}"), ("config", "{}"), ("loss_computation", "{} loss"), ("seed", "seed {}"))
"""Axes of runs, and how a label names their values."""


ASKED_OTHERWISE = tuple(zip(ASKED, USUAL, ("{}", "prompt {}", "{}"), strict=True))
"""Ways of asking, the usual value of each, and how a label names another value."""


def label_runs(runs: pd.DataFrame) -> list[str]:
    """A short name for each run. It names the axes in which the given runs differ, and always the number of samples.

    External predictions keep their own name; trivial baselines are named as such. The label of a run tells if the run is asked in
    another way than usual, or was trained on another data set than it is evaluated on.
    """
    varying = [(axis, text) for axis, text in TRAINED if runs.loc[runs["run"] != BASE, axis].nunique() > 1]
    return [_label(run, varying) for _, run in runs.iterrows()]


def _label(run: pd.Series, varying: Sequence[tuple[str, str]]) -> str:
    """The label of one run.

    Args:
        varying: the axes to name, and how.
    """
    asked = [text.format(run[column]) for column, usual, text in ASKED_OTHERWISE if run[column] != usual]
    if run.get("base_model") == BASELINE:
        return f"{run['run'].replace('_', ' ')} (baseline)"
    if pd.isna(run["trained_task"]):
        return ", ".join([run["run"], *asked])
    parts = [f"n={int(run['nb_samples'])}", *(text.format(run[axis]) for axis, text in varying), *asked]
    if (run["trained_task"], run["trained_sample_type"]) != (run["task"], run["sample_type"]):
        parts.append(f"from {run['trained_task']}/{run['trained_sample_type']}")
    return ", ".join(parts)


def run_labels(predictions: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The short name of each run, whatever the way of asking, by base model, task, sample type and run."""
    runs = predictions.drop_duplicates(RUN).assign(**dict(zip(ASKED, USUAL, strict=True)))
    return {tuple(key): label for key, label in zip(runs[RUN].to_numpy(), label_runs(runs), strict=True)}
