"""All predictions and scores of a grid, as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.agreement import Agreement, Level, agreement, ratings_of
from loragrid.layout import BASE, BASELINE, USUAL, parse_variant
from loragrid.records import Example, Prediction, Score, iterate_records
from loragrid.runtime.files import written_whole
from loragrid.runtime.spreadsheets import guarded
from loragrid.scoring.protocol import add_up
from loragrid.scoring.registry import corpus_metrics, has_corpus_metrics
from loragrid.scoring.scorer import ScorerFacts

EVALUATED = ["base_model", "task", "sample_type"]
"""A base model and the data set that it, or a run of it, is evaluated on."""


RUN = [*EVALUATED, "run"]


ASKED = ["prompting", "prompt_variant", "decoding"]


MODEL = [*RUN, *ASKED]


AXES = [*MODEL, "trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed"]


METRIC = ["scorer", "metric"]


GROUP = ["key", "group"]
"""A key of the examples' metadata and its value."""


SIGNS = ["better", "equal", "worse"]


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
    """Mean and standard error of the mean (sample standard deviation over the root of n); the error of one value is NaN, and the mean of none."""
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values) or 1)


Kinds = Mapping[str, ScorerFacts]
"""What is to be known of scorers, by name."""


def counted(scores: pd.DataFrame, kinds: Kinds) -> pd.DataFrame:
    """Scores as they count in means: a failed one as the worst value, usually 0, or not at all where a metric has no worst one."""
    worst = {
        (scorer, metric): kinds[scorer]["worst"].get(metric, 0.0) if scorer in kinds else 0.0
        for scorer, metric in scores[METRIC].drop_duplicates().itertuples(index=False, name=None)
    }
    instead = [worst[one] for one in scores[METRIC].itertuples(index=False, name=None)]
    filled = scores["value"].where(scores["value"].notna(), pd.Series(instead, index=scores.index, dtype=float))
    return scores.assign(value=filled).dropna(subset="value")


def lower_is_better(table: pd.DataFrame, kinds: Kinds) -> list[bool]:
    """For each row of a table with scorer and metric, whether less is better."""
    rows = table[METRIC].itertuples(index=False, name=None)
    return [scorer in kinds and metric in kinds[scorer]["lower_is_better"] for scorer, metric in rows]


class Corpus(NamedTuple):
    """Metrics over all examples together, that all but one example give, and all of them."""

    of_all: dict[str, float]
    without_one: dict[str, np.ndarray]


def over_all(parts: pd.Series, scorer_type: str) -> Corpus:
    """The metrics that a scorer gives over all examples together.

    Args:
        parts: the counts of each example.
    """
    counts = pd.DataFrame(parts.tolist()).fillna(0.0)
    names, total, rows = list(counts.columns), counts.sum().to_numpy(), counts.to_numpy()
    of_all = corpus_metrics(scorer_type, dict(zip(names, total, strict=True)))
    each = [corpus_metrics(scorer_type, dict(zip(names, total - row, strict=True))) for row in rows]
    return Corpus(of_all, {metric: np.array([one[metric] for one in each]) for metric in of_all})


def jackknife_error(without_one: np.ndarray) -> float:
    """Standard error of a statistic from its values without one example each (Efron & Stein 1981)."""
    n = len(without_one)
    return float(np.sqrt((n - 1) / n * ((without_one - without_one.mean()) ** 2).sum())) if n > 1 else math.nan


def corpora(scores: pd.DataFrame, by: Sequence[str], kinds: Kinds) -> Iterator[tuple[tuple[Any, ...], pd.Series]]:
    """For each group of scores that metrics over all examples are made of: its key, and the counts of each example by id."""
    of_corpus = [name for name, kind in kinds.items() if has_corpus_metrics(kind["type"])]
    counts = scores[scores["parts"].map(bool).astype(bool) & scores["scorer"].isin(of_corpus)]
    for key, group in counts.groupby(list(by), sort=False):
        yield key, group.groupby("id", sort=False)["parts"].agg(add_up)


def summarise_by(scores: pd.DataFrame, by: Sequence[str], kinds: Kinds) -> pd.DataFrame:
    """One row for each group and metric: `mean`, `n`, `nb_failed` with the most frequent `failure`, and `standard_error`.

    Of several answers to an example the mean counts. Metrics over all examples together stand in `mean` as well, with the standard error of the
    jackknife; scores that failed have no counts and are left out of them.

    Args:
        by: the columns that make a group.
        kinds: of the scorers, by name.
    """
    rows = []
    reasons = (
        scores[scores["value"].isna()].groupby([*by, *METRIC], sort=False)["status"].agg(lambda all: all.mode().iloc[0]).to_dict()
    )
    missing = scores["value"].isna().groupby([scores[name] for name in (*by, *METRIC)], sort=False)
    failed: Mapping[Any, Any] = missing.sum().to_dict()
    counting = counted(scores, kinds)
    found: Mapping[Any, pd.DataFrame] = dict(iter(counting.groupby([*by, *METRIC], sort=False)))
    for key, nb_failed in failed.items():
        # Where all have failed and none counts, that is what there is to say.
        group = found.get(key, counting.iloc[:0])
        of_examples = group["value"].groupby(group["id"]).mean()
        mean, error = mean_and_error(of_examples)
        rows.append((*key, mean, len(of_examples), int(nb_failed), reasons.get(key), error))
    # Where a scorer fails, all of its metrics do.
    of_scorers = {key[:-1]: (int(nb_failed), reasons.get(key)) for key, nb_failed in failed.items()}
    for key, parts in corpora(scores, [*by, "scorer"], kinds):
        corpus = over_all(parts, kinds[str(key[-1])]["type"])
        for metric, value in corpus.of_all.items():
            rows.append((*key, metric, value, len(parts), *of_scorers[key], jackknife_error(corpus.without_one[metric])))
    return pd.DataFrame(rows, columns=[*by, *METRIC, "mean", "n", "nb_failed", "failure", "standard_error"])


def summarise(scores: pd.DataFrame, predictions: pd.DataFrame, kinds: Kinds) -> pd.DataFrame:
    """`summarise_by` model and data set, with all axes, and whether less is better (`lower_is_better`)."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    summary = axes.merge(summarise_by(scores, MODEL, kinds), on=MODEL).astype(INTEGERS)
    return summary.assign(lower_is_better=lower_is_better(summary, kinds))


def read_groups(tests: Iterable[str | Path], keys: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """One row per test example and key of its metadata by which its task groups results.

    Args:
        tests: test sets, as `<task>/<sample_type>/test.jsonl`.
        keys: of the metadata, by task.
    """
    rows = []
    for path in map(Path, tests):
        task, sample_type = path.parts[-3:-1]
        for example in iterate_records(path, Example) if keys.get(task) else ():
            rows += [(task, sample_type, example.id, key, example.metadata.get(key, "")) for key in keys[task]]
    return pd.DataFrame(rows, columns=["task", "sample_type", "id", *GROUP])


def summarise_groups(scores: pd.DataFrame, groups: pd.DataFrame, predictions: pd.DataFrame, kinds: Kinds) -> pd.DataFrame:
    """`summarise_by` model, data set and group of examples, with all axes."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    grouped = summarise_by(scores.merge(groups, on=["task", "sample_type", "id"]), [*MODEL, *GROUP], kinds)
    return axes.merge(grouped, on=MODEL).astype(INTEGERS).assign(lower_is_better=lambda table: lower_is_better(table, kinds))


def compare_with_base(scores: pd.DataFrame, summary: pd.DataFrame, kinds: Kinds) -> pd.DataFrame:
    """One row per run, data set and metric: the run's score minus its base model's, asked alike, on the same examples.

    `mean_difference` and its `standard_error` are those of the paired differences; `better`, `equal` and `worse` count
    the examples, heeding `lower_is_better`. A metric over all examples together has no differences of examples; its error is that of the jackknife.
    """
    keys = [*EVALUATED, *ASKED, *METRIC, "id"]
    of_answers = counted(scores, kinds).groupby([*MODEL, *METRIC, "id"], sort=False)
    values = of_answers["value"].mean().reset_index()
    of_base = values.loc[values["run"] == BASE, [*keys, "value"]].rename(columns={"value": "base_value"})
    pairs = values[values["run"] != BASE].merge(of_base, on=keys)
    pairs["difference"] = pairs["value"] - pairs["base_value"]
    rows: list[tuple[Any, ...]] = []
    for key, group in pairs.groupby([*MODEL, *METRIC], sort=False):
        mean, error = mean_and_error(group["difference"])
        gains = -group["difference"] if lower_is_better(group.iloc[:1], kinds)[0] else group["difference"]
        signs = [int((gains > 0).sum()), int((gains == 0).sum()), int((gains < 0).sum())]
        rows.append((*key, float(group["base_value"].mean()), mean, error, len(group), *signs))
    counts = dict(corpora(scores, [*MODEL, "scorer"], kinds))
    for key, parts in counts.items():
        of_key = dict(zip([*MODEL, "scorer"], key, strict=True))
        base_parts = counts.get(tuple((of_key | {"run": BASE}).values()))
        if of_key["run"] == BASE or base_parts is None:
            continue
        both = parts.index.intersection(base_parts.index)
        own, base = (over_all(one.loc[both], kinds[str(of_key["scorer"])]["type"]) for one in (parts, base_parts))
        for metric, value in own.of_all.items():
            error = jackknife_error(own.without_one[metric] - base.without_one[metric])
            difference = value - base.of_all[metric]
            rows.append((*key, metric, base.of_all[metric], difference, error, len(both), None, None, None))
    columns = [*MODEL, *METRIC, "base_mean", "mean_difference", "standard_error", "n", *SIGNS]
    axes = summary[AXES].drop_duplicates(MODEL)
    compared = axes.merge(pd.DataFrame(rows, columns=columns), on=MODEL).astype(INTEGERS | dict.fromkeys(SIGNS, "Int64"))
    return compared.assign(lower_is_better=lower_is_better(compared, kinds))


def annotator_agreement(scores: pd.DataFrame, levels: Mapping[str, Mapping[str, Level]]) -> pd.DataFrame:
    """One row per scorer of human ratings and criterion: how far the annotators agree.

    Args:
        levels: of the criteria, by scorer.
    """
    rows = [
        {"scorer": scorer, **one._asdict()}
        for scorer, of_criteria in levels.items()
        for one in agreement(ratings_of(scores[scores["scorer"] == scorer]), of_criteria)
    ]
    return pd.DataFrame(rows, columns=["scorer", *Agreement._fields])


def scoring_costs(scores: pd.DataFrame, prices: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """One row per model, data set and judge: calls, tokens, and what they cost.

    Args:
        prices: of a `million_prompt_tokens` and a `million_new_tokens`, by scorer.
    """
    used = scores[scores["usage"].map(bool)]
    rows = []
    for key, group in used.groupby([*MODEL, "scorer"], sort=False):
        usage, price = add_up(group["usage"]), prices.get(str(key[-1]))
        tokens = [int(usage.get(name, 0)) for name in ("prompt_tokens", "new_tokens")]
        cost = math.nan
        if price:
            cost = (tokens[0] * price["million_prompt_tokens"] + tokens[1] * price["million_new_tokens"]) / 1e6
        rows.append((*key, int(usage.get("calls", 0)), *tokens, cost))
    return pd.DataFrame(rows, columns=[*MODEL, "scorer", "calls", "prompt_tokens", "new_tokens", "cost"])


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
    lower = {"lower_is_better": ("lower_is_better", "first")}
    return grouped.agg(runs=("run", "nunique"), n=("n", "max"), **means, **lower).reset_index()


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
    """Write a table as CSV or Parquet, by the ending of each path, whole or not at all. No text in a CSV file is a spreadsheet's formula."""
    for path in map(Path, paths):
        with written_whole(path) as temporary:
            if path.suffix == ".csv":
                texts = table.map(lambda cell: guarded(cell) if isinstance(cell, str) else cell)
                texts.to_csv(temporary, index=False, lineterminator="\n")
            else:
                table.to_parquet(temporary, index=False)


def label_runs(runs: pd.DataFrame) -> list[str]:
    """A short name for each run: the axes in which the given runs differ; the number of samples always.

    External predictions have the name that they were given, trivial baselines say what they are. A run that is asked in another way than usual, or was trained on another data set than it is evaluated on, says so.
    """
    axes: Sequence[tuple[str, str]] = (("mix", "{}"), ("config", "{}"), ("loss_computation", "{} loss"), ("seed", "seed {}"))
    varying = [(axis, text) for axis, text in axes if runs.loc[runs["run"] != BASE, axis].nunique() > 1]
    asked = (("prompting", "zero_shot", "{}"), ("prompt_variant", "default", "prompt {}"), ("decoding", "greedy", "{}"))

    def label(run: pd.Series) -> str:
        how = [text.format(run[axis]) for axis, usual, text in asked if run[axis] != usual]
        if run.get("base_model") == BASELINE:
            return f"{run['run'].replace('_', ' ')} (baseline)"
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
