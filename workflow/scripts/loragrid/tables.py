"""All predictions and scores of a grid, as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.files import written_whole
from loragrid.grid import BASE, USUAL, parse_variant
from loragrid.records import Prediction, Score, iterate_records

EVALUATED = ["base_model", "task", "sample_type"]
"""A base model and the data set that it, or a run of it, is evaluated on."""
RUN = [*EVALUATED, "run"]
ASKED = ["prompting", "prompt_variant", "decoding"]
MODEL = [*RUN, *ASKED]
AXES = [*MODEL, "trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed"]
METRIC = ["scorer", "metric"]
KIND = ["trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", *ASKED]
"""What a run is trained on, how, and how it is asked: all but its base model and seed."""
INTEGERS = {"nb_samples": "Int64", "seed": "Int64"}
# Unknown for external predictions.
MEASURED = {"runtime_s": "float64", "prompt_tokens": "Int64", "new_tokens": "Int64", "batch_size": "Int64"}


def read_predictions(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prompt, with the fields of its prediction; references are always lists."""
    rows = [part for path in paths for prediction in iterate_records(path, Prediction) for part in prediction.parts]
    return pd.DataFrame(rows, columns=list(Prediction.model_fields)).astype(INTEGERS | MEASURED)


def read_scores(paths: Iterable[str | Path]) -> pd.DataFrame:
    """One row per prediction and metric; the folders of a score file say which model and data set it is about."""
    rows = []
    for path in map(Path, paths):
        task, sample_type, base_model, model = path.parts[-5:-1]
        of = dict(zip(MODEL, (base_model, task, sample_type, *parse_variant(model)), strict=True))
        rows += [of | score.model_dump() for score in iterate_records(path, Score)]
    return pd.DataFrame(rows, columns=[*MODEL, *Score.model_fields])


def mean_and_error(values: pd.Series) -> tuple[float, float]:
    """Mean and standard error of the mean (sample standard deviation over the root of n); the error of one value is NaN."""
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def summarise(scores: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per model, data set and metric: `mean`, `n`, `nb_failed` and `standard_error`.

    A failed score stays in the denominator and counts as 0. Of several answers to an example the mean counts.
    """
    rows = []
    for key, group in scores.groupby([*MODEL, *METRIC], sort=False):
        of_examples = group["value"].fillna(0.0).groupby(group["id"]).mean()
        mean, error = mean_and_error(of_examples)
        rows.append((*key, mean, len(of_examples), int(group["value"].isna().sum()), error))
    summary = pd.DataFrame(rows, columns=[*MODEL, *METRIC, "mean", "n", "nb_failed", "standard_error"])
    axes = predictions[AXES].drop_duplicates(MODEL)
    return axes.merge(summary, on=MODEL).astype(INTEGERS)


def compare_with_base(scores: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row per run, data set and metric: the run's score minus its base model's, asked alike, on the same examples.

    `mean_difference` and its `standard_error` are those of the paired differences; `better`, `equal` and `worse` count
    the examples.
    """
    keys = [*EVALUATED, *ASKED, *METRIC, "id"]
    of_answers = scores.assign(value=scores["value"].fillna(0.0)).groupby([*MODEL, *METRIC, "id"], sort=False)
    values = of_answers["value"].mean().reset_index()
    of_base = values.loc[values["run"] == BASE, [*keys, "value"]].rename(columns={"value": "base_value"})
    pairs = values[values["run"] != BASE].merge(of_base, on=keys)
    pairs["difference"] = pairs["value"] - pairs["base_value"]
    rows = []
    for key, group in pairs.groupby([*MODEL, *METRIC], sort=False):
        mean, error = mean_and_error(group["difference"])
        signs = [
            int((group["difference"] > 0).sum()),
            int((group["difference"] == 0).sum()),
            int((group["difference"] < 0).sum()),
        ]
        rows.append((*key, float(group["base_value"].mean()), mean, error, len(group), *signs))
    columns = [*MODEL, *METRIC, "base_mean", "mean_difference", "standard_error", "n", "better", "equal", "worse"]
    axes = summary[AXES].drop_duplicates(MODEL)
    return axes.merge(pd.DataFrame(rows, columns=columns), on=MODEL).astype(INTEGERS)


def on_own_data(table: pd.DataFrame) -> pd.Series:
    """Which rows are about a run on the data set that it was trained on."""
    return (table["trained_task"] == table["task"]) & (table["trained_sample_type"] == table["sample_type"])


def summarise_transfer(comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row per base model, kind of run, evaluated data set and metric, for kinds that are evaluated on foreign data too.

    `mean_difference` to the base model and its `standard_error` are means over the `runs` of a kind, which differ in their
    seeds alone. Runs share their test examples, so that the error does not shrink with their number.
    """
    of_kind = ["base_model", *KIND]
    foreign = comparisons.loc[~on_own_data(comparisons), of_kind].drop_duplicates()
    means = {name: (name, "mean") for name in ("mean_difference", "standard_error")}
    # External predictions are of no kind: groupby() leaves them out.
    grouped = comparisons.merge(foreign, on=of_kind).groupby([*of_kind, "task", "sample_type", *METRIC], sort=False)
    return grouped.agg(runs=("run", "nunique"), n=("n", "max"), **means).reset_index()


def read_losses(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The courses of all trainings, one row per run and step."""
    tables = []
    for path in map(Path, paths):
        table = pd.read_csv(path)
        task, sample_type, base_model, run = path.parts[-5:-1]
        for position, (name, value) in enumerate(zip(RUN, (base_model, task, sample_type, run), strict=True)):
            table.insert(position, name, value)
        tables.append(table)
    columns = [*RUN, "step", "epoch", "train_loss", "validation_loss", "learning_rate", "tokens", "seconds"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def read_training_costs(manifests: Iterable[str | Path]) -> pd.DataFrame:
    """One row per training: examples, tokens, seconds and peak memory."""
    rows = []
    for path in manifests:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        run = manifest["run"]
        rows.append(
            {
                **{name: run[name] for name in EVALUATED},
                "run": Path(path).parent.name,
                "examples": manifest["examples"]["train"],
                "input_cut": len(manifest["examples"]["input_cut"]),
                "dropped": len(manifest["examples"]["dropped"]),
                "tokens": manifest["tokens"],
                "training_s": manifest["training_s"],
                "job_s": manifest["wall_time_s"],
                "peak_memory_mb": manifest["peak_memory_mb"],
            }
        )
    columns = [*RUN, "examples", "input_cut", "dropped", "tokens", "training_s", "job_s", "peak_memory_mb"]
    return pd.DataFrame(rows, columns=columns)


def prediction_costs(predictions: pd.DataFrame, prices: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """One row per model and data set: examples, tokens, seconds, the share of answers that were cut off, and what 1,000 examples cost.

    `generation_s` is the computing, shared out among what was answered together; `wait_s` and `answer_s` are how long a prompt waited
    for its turn on average, and how long it then took until the answer was there. What external predictions cost is not known; they
    have no row.

    Args:
        prices: by base model, of an `hour` of computing, a `million_prompt_tokens` and a `million_new_tokens`.
    """
    rows = []
    for key, group in predictions.dropna(subset="runtime_s").groupby(MODEL, sort=False):
        seconds, new_tokens = float(group["runtime_s"].sum()), int(group["new_tokens"].sum())
        cut = float((group["finish_reason"] == "length").mean())
        per_second = new_tokens / seconds if seconds else math.nan
        batch_size = int(group["batch_size"].max())
        examples = group["id"].nunique()
        waits = float(group["queue_s"].mean()), float(group["compute_s"].mean())
        cost = math.nan
        if price := prices.get(str(key[0])):
            tokens = int(group["prompt_tokens"].sum()) * price["million_prompt_tokens"] + new_tokens * price["million_new_tokens"]
            cost = 1000 / examples * (seconds / 3600 * price["hour"] + tokens / 1e6)
        rows.append((*key, examples, batch_size, seconds, seconds / examples, *waits, new_tokens, per_second, cut, cost))
    columns = ["examples", "batch_size", "generation_s", "s_per_example", "wait_s", "answer_s", "new_tokens", "tokens_per_s"]
    return pd.DataFrame(rows, columns=[*MODEL, *columns, "share_cut_off", "cost_per_1000"])


def write_table(table: pd.DataFrame, *paths: str | Path) -> None:
    """Write a table as CSV or Parquet, by the ending of each path, whole or not at all."""
    for path in map(Path, paths):
        with written_whole(path) as temporary:
            if path.suffix == ".csv":
                table.to_csv(temporary, index=False, lineterminator="\n")
            else:
                table.to_parquet(temporary, index=False)


def label_runs(runs: pd.DataFrame) -> list[str]:
    """A short name for each run: the axes in which the given runs differ; the number of samples always.

    External predictions have the name that they were given. A run that is asked in another way than usual, or was trained on another data set than it is evaluated on, says so.
    """
    axes: Sequence[tuple[str, str]] = (("mix", "{}"), ("config", "{}"), ("loss_computation", "{} loss"), ("seed", "seed {}"))
    varying = [(axis, text) for axis, text in axes if runs.loc[runs["run"] != BASE, axis].nunique() > 1]
    asked = (("prompting", "zero_shot", "{}"), ("prompt_variant", "default", "prompt {}"), ("decoding", "greedy", "{}"))

    def label(run: pd.Series) -> str:
        how = [text.format(run[axis]) for axis, usual, text in asked if run[axis] != usual]
        if pd.isna(run["trained_task"]):
            return ", ".join([run["run"], *how])
        parts = [f"n={int(run['nb_samples'])}", *(text.format(run[axis]) for axis, text in varying), *how]
        if (run["trained_task"], run["trained_sample_type"]) != (run["task"], run["sample_type"]):
            parts.append(f"from {run['trained_task']}/{run['trained_sample_type']}")
        return ", ".join(parts)

    return [label(run) for _, run in runs.iterrows()]


def run_labels(predictions: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The short name of each run, however it was asked, by base model, task, sample type and run."""
    runs = predictions.drop_duplicates(RUN).assign(**dict(zip(ASKED, USUAL, strict=True)))
    return {tuple(key): label for key, label in zip(runs[RUN].to_numpy(), label_runs(runs), strict=True)}
