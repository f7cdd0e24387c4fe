"""The page's table of what trainings have forgotten."""

from __future__ import annotations

import pandas as pd

from loragrid.analysis.page.result_tables import Labels
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words

WORDS = {
    "label": Words("training"),
    "forgotten": Words("forgotten", "signed", "The loss less that of the base model: above 0, something was forgotten.", 3),
    "loss": Words("loss", "number", "Of a token of general language, in nats.", 3),
    "base_loss": Words("base loss", "number", "The same for the base model.", 3),
    "bits_forgotten": Words("in bits a byte", "signed", "The same difference for a byte; it compares base models too.", 3),
    "bits_per_byte": Words("bits a byte", "number", "The loss of a byte, whatever the tokenizer.", 3),
    "base_bits_per_byte": Words("base bits a byte", "number", "", 3),
    "passages": Words("passages", "integer", "Of the text that was read."),
    "other_change": Words("on other tasks", "signed", "Mean difference from the base model on data sets of other tasks.", 3),
    "other_standard_error": Words("its error", "number", "Standard error of that mean.", 3),
    "other_metric": Words("in metric", "code"),
    "other_tasks": Words("other tasks", "integer", "On how many other tasks the training is tested."),
}

FIRST = ["trained_task", "trained_sample_type", "base_model", "label", "seed", "forgotten", "loss", "base_loss"]
FIRST += ["bits_forgotten", "other_change", "other_metric", "other_tasks"]

NOTE = (
    "Loss of trained models on a text of general language, less that of their base model on the same passages, with 95 % "
    "intervals over passages; and what they change on data sets of tasks that they were not trained for."
)


def forgetting_table(forgetting: pd.DataFrame, labels: Labels) -> PageTable:
    """A row for each training.

    Args:
        forgetting: as in `tables/`.
        labels: the short names of trainings, by the columns of `RUN`.
    """
    by_run = {(base_model, run): label for (base_model, _, _, run), label in labels.items()}
    own = [by_run.get((str(model), str(run)), str(run)) for model, run in forgetting[["base_model", "run"]].to_numpy()]
    rows = forgetting.assign(label=pd.Series(own, index=forgetting.index, dtype=object))
    return page_table("forgetting", "What was forgotten", rows, FIRST, NOTE, WORDS)
