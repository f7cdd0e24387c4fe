"""The axes by which the page filters."""

from __future__ import annotations

import pandas as pd

from loragrid.analysis.page.tables import Payload, plain
from loragrid.analysis.page.words import AXES_IN_WORDS
from loragrid.layout import BASELINE, EXTERNAL

SAME = {"trained_task": "task", "trained_sample_type": "sample_type"}
"""What a model was trained for says nothing new where it is asked about nothing else."""


def filter_axes(predictions: pd.DataFrame) -> list[Payload]:
    """The axes with several values, each with its values in the order of the grid.

    Trivial baselines and answers from elsewhere have no base model: they stand beside every one.

    Args:
        predictions: a row for each model at least, with the columns of `AXES`.
    """
    axes = []
    for key, words in AXES_IN_WORDS.items():
        values = predictions[key].dropna().drop_duplicates()
        if key == "base_model":
            values = values[~values.isin([BASELINE, EXTERNAL])]
        if key == "nb_samples":
            values = values.sort_values()
        trained = predictions.dropna(subset="trained_task")
        is_same = key in SAME and bool((trained[key] == trained[SAME[key]]).all())
        if len(values) > 1 and not is_same:
            axes.append({"key": key, "label": words.label, "values": plain(values)})
    return axes
