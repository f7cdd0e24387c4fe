"""The page's tables about trainings, costs and data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.columns import MODEL, RUN
from loragrid.analysis.page.result_tables import ABOUT, Files, Labels, labels_of
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.analysis.table_files import read_csv_table
from loragrid.layout import Run


def other_tables(files: Files, labels: Labels, run_labels: Labels) -> Iterator[PageTable]:
    """The tables about trainings, costs and data.

    Args:
        files: the outputs of `layout.ANALYSE` and `layout.DESCRIBE_DATA` by their names.
        run_labels: the short names of trainings, by the columns of `RUN`.
    """
    yield training_table(files["training_costs"], run_labels)
    yield prediction_costs_table(files["prediction_costs"], labels)
    yield scoring_costs_table(files["scoring_costs"], labels)
    yield from data_tables(files)


def training_table(path: str | Path, labels: Labels) -> PageTable:
    """What every training took."""
    table = read_csv_table(path, RUN, RUN)
    rows = with_axes(table).assign(label=labels_of(table, RUN, labels))
    # Tokens by themselves say how much was learnt from; by the second, how fast.
    rows = rows.assign(tokens_per_s=(rows["tokens"] / rows["training_s"]).where(rows["training_s"] > 0))
    first = ["trained_task", "trained_sample_type", "base_model", "label", "examples", "input_cut", "dropped", "tokens"]
    first += ["tokens_per_s", "training_s", "job_s", "peak_memory_mb", "peak_gpu_memory_mb"]
    words = {
        "tokens_per_s": Words("tokens / s", "number", "Tokens of training examples in a second of the loop.", 0),
        "label": Words("training"),
    }
    return page_table("training", "Trainings", rows, first, words=words)


def with_axes(table: pd.DataFrame) -> pd.DataFrame:
    """A table of trainings with the axes of each, whose data set is the one that it was trained on."""
    runs = [Run.parse(str(name)) for name in table["run"]]
    axes: dict[str, Any] = {
        name: [getattr(run, name, None) for run in runs] for name in ("mix", "nb_samples", "config", "loss_computation", "seed")
    }
    trained = {"trained_task": table["task"], "trained_sample_type": table["sample_type"]}
    return table.drop(columns="sample_type").assign(**trained, **axes).astype({"nb_samples": "Int64", "seed": "Int64"})


def prediction_costs_table(path: str | Path, labels: Labels) -> PageTable:
    """What every model's answers took."""
    table = read_csv_table(path, MODEL, MODEL)
    rows = table.assign(label=labels_of(table, MODEL, labels))
    first = [
        *ABOUT,
        "examples",
        "s_per_example",
        "tokens_per_s",
        "wait_s",
        "answer_s",
        "share_cut_off",
        "cost_per_1000",
        "batch_size",
    ]
    note = (
        "Seconds of computing, shared out evenly among the prompts of a batch. For what a single user would see, use a decoding "
    )
    return page_table("prediction_costs", "Answering", rows, first, note + "with latency: true.")


def scoring_costs_table(path: str | Path, labels: Labels) -> PageTable:
    """What judges took."""
    table = read_csv_table(path, [*MODEL, "scorer"], MODEL)
    first = [*ABOUT, "scorer", "calls", "prompt_tokens", "new_tokens", "cost"]
    note = "What the judgements of these answers took when they were made."
    return page_table("scoring_costs", "Judges", table.assign(label=labels_of(table, MODEL, labels)), first, note)


def data_tables(files: Files) -> Iterator[PageTable]:
    """What the data are."""
    data_sets, mixes, lengths = (read_csv_table(files[name], texts) for name, texts in _DATA_TEXTS.items())
    used = data_sets[(data_sets["examples"] > 0) | (data_sets["dropped"] > 0)]
    yield page_table("data_sets", "Data sets", used, list(data_sets.columns), words={"sample_type": _SAMPLE_TYPE})
    # Mixes are what is trained on: filters by what is tested on do not hide them.
    trained = mixes.rename(columns={"task": "trained_task", "sample_type": "trained_sample_type"})
    yield page_table("mixes", "Mixes", trained, list(trained.columns), words={"examples": Words("used", "integer")})
    first = ["of", "part", "component", "field", "unit", "min", "mean", "median", "max"]
    yield page_table("lengths", "Lengths", lengths, first, words={"mean": Words("mean", "number", "", 1)})


_SAMPLE_TYPE = Words("sample type", tells_apart=True)
_DATA_TEXTS = {
    "data_sets": ["task", "sample_type", "split", "reasons", "cut"],
    "mixes": ["task", "sample_type", "mix", "part", "component", "why"],
    "lengths": ["of", "part", "component", "field", "unit", "tokenizer"],
}
