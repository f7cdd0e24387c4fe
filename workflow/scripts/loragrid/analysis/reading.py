"""The files of a grid, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.columns import GROUP, INTEGERS, MODEL, RUN
from loragrid.analysis.table_files import read_csv_table
from loragrid.errors import DamagedError
from loragrid.layout import Dataset, Evaluation, trained_model
from loragrid.records import Example, Prediction, Score, iterate_records

# Unknown for external predictions.
MEASURED = {"runtime_s": "float64", "prompt_tokens": "Int64", "new_tokens": "Int64", "batch_size": "Int64"}


NOTHING: Mapping[str, Any] = {"parts": {}, "truncated": [], "usage": {}}
"""What most scores have: one object for all of them."""


def of_split(paths: Iterable[str | Path], split: str, evaluation_of: Callable[[str | Path], Evaluation]) -> list[str | Path]:
    """The files of predictions or scores that are about a split of their data sets.

    Args:
        evaluation_of: tells the evaluation that a file is about.
    """
    return [path for path in paths if evaluation_of(path).split == split]


def read_predictions(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prompt, with the fields of its prediction; references are always lists.

    Raises:
        DamagedError: naming a file with rows of another model or data set than its name says.
    """
    rows = []
    for path in paths:
        own = Evaluation.of_predictions(path)
        for prediction in iterate_records(path, Prediction):
            found = Evaluation(*(getattr(prediction, axis) for axis in MODEL))._replace(split=prediction.split)
            if found != own:
                raise DamagedError(path, f"the row of example {prediction.id} belongs to {found.place}")
            rows += prediction.parts
    fields = [name for name in Prediction.model_fields if name != "split"]
    return pd.DataFrame(rows, columns=fields).astype(INTEGERS | MEASURED)


def read_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prediction and metric. The path of a score file says which model and data set it is about."""
    # Columns instead of rows: a row of its own for each score takes ten times the memory.
    columns: dict[str, list[Any]] = {name: [] for name in (*MODEL, *Score.model_fields)}
    for path in paths:
        scores = [vars(score) for score in iterate_records(path, Score)]
        *axes, _ = Evaluation.of_scores(path)
        for name, value in zip(MODEL, axes, strict=True):
            columns[name] += [value] * len(scores)
        for name in Score.model_fields:
            nothing = NOTHING.get(name)
            columns[name] += [one[name] for one in scores] if nothing is None else [one[name] or nothing for one in scores]
    # Columns without rows would have the type of numbers.
    return pd.DataFrame(columns, dtype=None if columns["id"] else object)


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
