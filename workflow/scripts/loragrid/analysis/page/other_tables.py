"""The page's tables about scorers, trainings, costs and data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import MODEL, RUN
from loragrid.analysis.page.result_tables import ABOUT, Files, metric_names
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.analysis.scorer_study.shown import COEFFICIENT
from loragrid.analysis.table_files import read_csv_table, read_parquet_table
from loragrid.layout import Run

Labels = Mapping[tuple[str, ...], str]
"""The short names of models, by the columns of `MODEL`."""


def other_tables(files: Files, labels: Labels, run_labels: Labels) -> Iterator[PageTable]:
    """All tables but those of results.

    Args:
        files: the outputs of `layout.ANALYSE` and `layout.DESCRIBE_DATA` by their names.
        run_labels: the short names of trainings, by the columns of `RUN`.
    """
    yield from scorer_tables(files, labels)
    yield training_table(files["training_costs"], run_labels)
    yield prediction_costs_table(files["prediction_costs"], labels)
    yield scoring_costs_table(files["scoring_costs"], labels)
    yield from data_tables(files)


def scorer_tables(files: Files, labels: Labels) -> Iterator[PageTable]:
    """Whether scorers agree with each other, with people, and beside the length of answers; whether people do."""
    pairs, equal_length, agreement, corrected = (
        read_parquet_table(files[f"{name}_parquet"]) for name in ("scorers", "equal_length", "judge_agreement", "judge_corrected")
    )
    shown = pairs[pairs["coefficient"] == COEFFICIENT]
    shown = shown.assign(
        metric_name=metric_names(shown), other_name=(shown["other_scorer"] + "/" + shown["other_metric"]).str.removeprefix("/")
    )
    words = {"value": Words("Kendall's tau", "number", "1: the same order of answers; 0: one says nothing of the other.", 2)}
    words["other_name"] = Words("and", "code", "Another metric, or the length of answers in characters.")
    yield page_table(
        "scorers",
        "Whether two scorers put answers in the same order",
        shown,
        ["task", "sample_type", "metric_name", "other_name", "scope", "value", "answers", "questions", "ways"],
        "Kendall's tau-b with 95 % intervals over the choice of questions. Other coefficients are in tables/scorers.csv.",
        words,
        {"value": ("low", "high")},
    )
    sloped = equal_length[equal_length["slope"].notna()]
    yield page_table(
        "equal_length",
        "At equal length",
        sloped.assign(metric_name=metric_names(sloped)),
        ["task", "sample_type", "base_model", *_TRAINED, "metric_name", "difference", "at_equal_length", *_LENGTHS],
        "The difference from the base model as it is, and had the answers been as long as the base model's: a regression on the "
        "difference in length. Ways whose lengths do not vary are in tables/equal_length.csv alone.",
        estimates={"difference": ("low", "high")},
    )
    named = agreement.assign(metric_name=metric_names(agreement), people_name=agreement["people"] + "/" + agreement["criterion"])
    yield page_table(
        "judge_agreement",
        "Scorers and people",
        named,
        ["task", "sample_type", "metric_name", "people_name", "percent_agreement", "kappa", "alpha", "ratings", "annotators"],
        "For scorers that give the same values as people.",
        {"people_name": Words("people", "code")},
    )
    named = corrected.assign(
        metric_name=metric_names(corrected),
        people_name=corrected["people"] + "/" + corrected["criterion"],
        label=labels_of(corrected, MODEL, labels),
    )
    yield page_table(
        "judge_corrected",
        "What people would say of all answers",
        named,
        [*ABOUT, "against", "people_name", "metric_name", "people_mean", "judge_mean", "corrected_mean", "rated", "judged", "worth"],
        "People rated a part of the answers, the scorer all of them (prediction-powered inference). About single trainings.",
        {"people_name": Words("people", "code")},
        {"people_mean": ("people_low", "people_high"), "corrected_mean": ("low", "high")},
    )
    yield page_table(
        "agreement",
        "Agreement of annotators",
        read_csv_table(files["agreement"], ["scorer", "criterion", "level"]),
        ["scorer", "criterion", "level", "items", "annotators", "percent_agreement", "mean_kappa", "alpha", "rated", "asked"],
        "About the answers that several annotators rated.",
    )


_TRAINED = ("trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation")
_LENGTHS = ("characters", "base_characters", "longer", "n", "seeds")


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
    axes = {name: [getattr(run, name, None) for run in runs] for name in ("mix", "nb_samples", "config", "loss_computation", "seed")}
    trained = {"trained_task": table["task"], "trained_sample_type": table["sample_type"]}
    return table.drop(columns="sample_type").assign(**trained, **axes).astype({"nb_samples": "Int64", "seed": "Int64"})


def prediction_costs_table(path: str | Path, labels: Labels) -> PageTable:
    """What every model's answers took."""
    table = read_csv_table(path, MODEL, MODEL)
    rows = table.assign(label=labels_of(table, MODEL, labels))
    first = [*ABOUT, "examples", "s_per_example", "tokens_per_s", "wait_s", "answer_s", "share_cut_off", "cost_per_1000", "batch_size"]
    note = "Seconds of computing, shared out evenly among the prompts of a batch. For what a single user would see, use a decoding "
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


def labels_of(table: pd.DataFrame, keys: Sequence[str], labels: Labels) -> list[str]:
    """The short name of each row's model; that of its run where there is none."""
    return [labels.get(tuple(key), str(key[3])) for key in table[list(keys)].itertuples(index=False, name=None)]
