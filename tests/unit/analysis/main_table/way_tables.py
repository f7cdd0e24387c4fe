"""Tables of ways, and their parts, without anything computed."""

import math

import pandas as pd

from loragrid.analysis.contrasts.columns import WAYS
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.main_table.parts import parts_of
from loragrid.analysis.main_table.settings import MainTable
from loragrid.layout import BASE, BASELINE

ASKED = {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
TRAINED = {
    "trained_task": "t",
    "trained_sample_type": "s",
    "mix": "only",
    "nb_samples": 8,
    "config": "lora",
    "loss_computation": "full",
}


def way(mean=0.5, low=None, high=None, scorer="r", metric="x", lower=False, standing="", **changes):
    """A row: by default the base model m on task t with references s."""
    low, high = mean - 0.1 if low is None else low, mean + 0.1 if high is None else high
    row = dict.fromkeys(WAYS, math.nan) | {"base_model": "m", "task": "t", "sample_type": "s", "way": BASE} | ASKED
    row |= {"scorer": scorer, "metric": metric, "lower_is_better": lower, "mean": mean, "low": low, "high": high}
    return row | {"n": 16, "clusters": 16, "seeds": 0, "nb_failed": 0, "nb_cut_off": 0, "standing": standing} | changes


def trained(mean=0.5, **changes):
    """A kind of run: by default on its own task and sample type."""
    own = {"trained_task": changes.get("task", "t"), "trained_sample_type": changes.get("sample_type", "s")}
    axes = TRAINED | own | changes
    return way(mean, **{"way": "__".join(str(axes[axis]) for axis in TRAINED), "seeds": 1, **axes})


def baseline(mean=0.1, name="first_words", **changes):
    return way(mean, base_model=BASELINE, way=name, **changes)


def parts(*rows, metric="r/x", task_metrics=None, forgotten=None, **table):
    return parts_of(pd.DataFrame(rows), MainTable(**table), MainMetrics(metric, task_metrics or {}), forgotten)


def grid(part):
    """A part as rows of labels and means."""
    return [
        [*row, *(f"{part.cells[row, column].mean:g}" if (row, column) in part.cells else "" for column in part.columns)]
        for row in part.rows
    ]
