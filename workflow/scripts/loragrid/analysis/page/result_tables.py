"""The page's tables of results: what ways and runs score, how they compare, what carries over, and what was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import ASKED, METRIC, MODEL
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.labels import label_runs
from loragrid.analysis.page.contrast_rows import contrasts_table
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.analysis.table_files import read_parquet_table

Files = Mapping[str, str | Path]

Labels = Mapping[tuple[str, ...], str]
"""The short names of models, by the columns of `MODEL`."""

ABOUT = ("task", "sample_type", "base_model", "label")
"""What a row of results is about, in the order of reading."""

MOST_GROUPS = 30
"""Groups of a key of metadata that a reader can make something of."""

_WAY = ["base_model", "task", "sample_type", "way", *ASKED, *METRIC]


def result_tables(files: Files) -> Iterator[PageTable]:
    """All tables of results.

    Args:
        files: the outputs of `layout.ANALYSE` by their names.
    """
    ways, scores = (read_parquet_table(files[name]) for name in ("ways_parquet", "scores_parquet"))
    yield results_table(ways)
    yield runs_table(scores)
    yield contrasts_table(read_parquet_table(files["contrasts_parquet"]))
    yield transfer_table(read_parquet_table(files["transfer_parquet"]))
    yield selection_table(read_parquet_table(files["selection_parquet"]))
    yield groups_table(read_parquet_table(files["groups_parquet"]))


def results_table(ways: pd.DataFrame) -> PageTable:
    """Every way's mean in every metric; below a row, on demand, the single trainings."""
    rows = ways.assign(label=label_ways(ways), metric_name=metric_names(ways))
    first = [*ABOUT, "metric_name", "mean", "n", "seeds", "nb_failed", "nb_cut_off", "baseline_mean", "standing"]
    note = "Each way's mean over test questions and training seeds, with its 95 % interval."
    return page_table("results", "All metrics", rows, first, note, estimates=_of(rows, "mean"), unfold="runs", key=_WAY)


def runs_table(scores: pd.DataFrame) -> PageTable:
    """The mean of every training by itself."""
    rows = scores.assign(way=way_names(scores), label=label_rows(scores), metric_name=metric_names(scores))
    first = ["seed", "mean", "standard_error", "n", "nb_failed", "failure", "nb_truncated"]
    words = {"mean": Words("mean", "number", "Over test questions.", 3)}
    return page_table("runs", "Single trainings", rows, first, "The standard error is that of the choice of questions.", words)


def transfer_table(transfer: pd.DataFrame) -> PageTable:
    """What training for one task does to others."""
    rows = transfer.assign(metric_name=metric_names(transfer))
    first = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "task", "sample_type", "base_model"]
    first += ["metric_name", "mean_difference", "standard_error", "n", "runs"]
    note = "Mean difference from the base model, as a mean over seeds. Whether it is decided is said among the comparisons."
    return page_table("transfer", "Transfer between tasks", rows, first, note)


def selection_table(selection: pd.DataFrame) -> PageTable:
    """What was chosen on validation examples, and what it scores on test examples."""
    rows = selection.assign(metric_name=metric_names(selection.astype(dict.fromkeys(METRIC, object))))
    first = ["task", "sample_type", "base_model", *TRAINED[1:], "by", "ways", "chosen", "chosen_mean", "metric_name"]
    first += ["best_by_test", "best_mean", "optimism", "validation_mean", "n", "note"]
    note = "Ways are chosen by validation examples alone; what they score on test examples is what one may report."
    estimates = {**_of(rows, "chosen_mean"), "optimism": ("optimism_low", "optimism_high")}
    return page_table("selection", "Chosen on validation, reported on test", rows, first, note, estimates=estimates)


def groups_table(groups: pd.DataFrame) -> PageTable:
    """Means over groups of test examples."""
    few = groups[groups.groupby(["task", "sample_type", "key"])["group"].transform("nunique") <= MOST_GROUPS]
    rows = few.assign(label=label_rows(few), metric_name=metric_names(few))
    first = [*ABOUT, "key", "group", "metric_name", "mean", "standard_error", "n", "nb_failed"]
    note = f"Keys with more than {MOST_GROUPS} values are in tables/groups.csv alone."
    words = {"mean": Words("mean", "number", "Over the questions of the group.", 3)}
    return page_table("groups", "Groups of test examples", rows, first, note, words)


def metric_names(table: pd.DataFrame) -> pd.Series:
    """Metrics as `scorer/metric`."""
    return table["scorer"] + "/" + table["metric"]


def way_names(runs: pd.DataFrame) -> pd.Series:
    """The names of runs without their seeds; the others as they are."""
    return runs["run"].where(runs["trained_task"].isna(), runs["run"].str.replace(r"__seed\d+$", "", regex=True))


def label_ways(ways: pd.DataFrame) -> list[str]:
    """A short name for each row's way, without a seed."""
    return label_rows(ways.assign(run=ways["way"], seed=0))


def label_rows(table: pd.DataFrame) -> list[str]:
    """A short name for each row's model. Each model is named once: a table may have thousands of rows about it."""
    models = table.drop_duplicates(MODEL)
    names = dict(zip(models[MODEL].itertuples(index=False, name=None), label_runs(models), strict=True))
    return [names[key] for key in table[MODEL].itertuples(index=False, name=None)]


def labels_of(table: pd.DataFrame, keys: Sequence[str], labels: Labels) -> list[str]:
    """The short name of each row's model; that of its run where there is none."""
    return [labels.get(tuple(key), str(key[3])) for key in table[list(keys)].itertuples(index=False, name=None)]


def _of(rows: pd.DataFrame, name: str) -> Mapping[str, tuple[str, ...]]:
    """A column with its interval in `low` and `high`."""
    return {name: ("low", "high")} if {"low", "high"} <= set(rows.columns) else {}
