"""The files of a grid, as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import GROUP, INTEGERS, MODEL, RUN
from loragrid.analysis.table_files import read_csv_table
from loragrid.errors import DamagedError
from loragrid.layout import Dataset, Evaluation, trained_model
from loragrid.records import Example, Prediction, Score, iterate_records
from loragrid.text.words import one_form

# Unknown for external predictions.
MEASURED = {"runtime_s": "float64", "prompt_tokens": "Int64", "new_tokens": "Int64", "batch_size": "Int64"}


def read_predictions(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prompt, with the fields of its prediction; references are always lists.

    Raises:
        DamagedError: naming a file with rows of another model or data set than its name says.
    """
    rows = []
    for path in paths:
        own = Evaluation.of_predictions(path)
        for prediction in iterate_records(path, Prediction):
            found = Evaluation(*(getattr(prediction, axis) for axis in MODEL))
            if found != own:
                raise DamagedError(path, f"the row of example {prediction.id} belongs to {found.place}")
            rows += prediction.parts
    return pd.DataFrame(rows, columns=list(Prediction.model_fields)).astype(INTEGERS | MEASURED)


def read_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prediction and metric. The path of a score file says which model and data set it is about."""
    rows = []
    for path in paths:
        model = dict(zip(MODEL, Evaluation.of_scores(path), strict=True))
        rows += [model | dict(score) for score in iterate_records(path, Score)]
    return pd.DataFrame(rows, columns=[*MODEL, *Score.model_fields])


def read_groups(tests: Iterable[str | Path], keys: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row per test example and key of its metadata by which its task groups results.

    Args:
        tests: test sets.
        keys: of the metadata, by task.
    """
    rows = []
    for path in tests:
        dataset = Dataset.of(path)
        for example in iterate_records(path, Example) if keys.get(dataset.task) else ():
            rows += [(*dataset, example.id, key, example.metadata.get(key, "")) for key in keys[dataset.task]]
    return pd.DataFrame(rows, columns=["task", "sample_type", "id", *GROUP])


def read_texts(tests: Iterable[str | Path], datasets: Collection[tuple[str, str]]) -> dict[tuple[str, str, str], str]:
    """What each test example is about, by task, sample type and id: its input, or its instruction where it has none.

    Args:
        tests: test sets.
        datasets: task and sample type of those that are read.
    """
    return {
        (*dataset, example.id): one_form("\n".join(example.prompts) or example.input or example.instruction)
        for path in tests
        if (dataset := Dataset.of(path)) in datasets
        for example in iterate_records(path, Example)
    }


LOSSES = ("step", "epoch", "train_loss", "validation_loss", "learning_rate", "tokens", "seconds")
"""Columns of a training's `loss.csv`."""


def read_losses(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The loss curves of all trainings, one row per run and step."""
    tables = []
    for path in paths:
        table, run = read_csv_table(path, numbers=LOSSES), trained_model(path)
        for position, name in enumerate(RUN):
            table.insert(position, name, run[name])
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*RUN, *LOSSES])
