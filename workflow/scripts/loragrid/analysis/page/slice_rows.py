"""Slices of the test questions, for the page."""

from __future__ import annotations

import pandas as pd

from loragrid.analysis.page.result_tables import label_ways
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words

WORDS = {
    "by": Words("by", "text", "What the questions are divided by.", None, True),
    "key": Words("key", "code", "Of the metadata.", None, True),
    "slice": Words("slice", "text", "A value, or a range of numbers; input lengths are in characters."),
    "rest_mean": Words("rest", "number", "The mean over all other questions.", 3),
    "difference": Words("against the rest", "signed", "Exploratory; each interval holds by itself.", 3),
    "p_adjusted": Words("adjusted p", "number", "For the share of false discoveries among all slices of the data set.", 3),
    "worst": Words("worst", "text", "Where a way does worst, if that is more than chance makes of so many slices."),
    "metric_name": Words("metric", "code", "The main metric of the task.", None, True),
}

FIRST = [
    "label",
    "base_model",
    "task",
    "sample_type",
    "by",
    "key",
    "slice",
    "n",
    "mean",
    "rest_mean",
    "difference",
    "p_adjusted",
    "worst",
]

NOTE = "Exploratory: parts of the questions that were not declared beforehand. Slices show where to look, not what is so."


def slices_table(slices: pd.DataFrame) -> PageTable:
    """The table `slices`.

    Args:
        slices: as `tables/slices.csv`.
    """
    rows = slices.assign(
        label=label_ways(slices),
        metric_name=slices["scorer"] + "/" + slices["metric"],
        worst=["worst" if worst else "" for worst in slices["worst"]],
    )
    return page_table(
        "slices",
        "Slices",
        rows.drop(columns=["scorer", "metric"]),
        FIRST,
        NOTE,
        WORDS,
        {"mean": ("low", "high"), "difference": ("difference_low", "difference_high")},
    )
