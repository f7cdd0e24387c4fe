"""All answers of a task as the page's browser gets them, with their scores and with what scorers read in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.labels import label_runs
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.answer_scores import scores_of
from loragrid.analysis.page.tables import Payload, plain
from loragrid.analysis.reading import read_scores
from loragrid.analysis.settings import FactsByScorer
from loragrid.data.splitting import by_hash
from loragrid.layout import BASE, BASELINE, EXTERNAL, TEST, Dataset, Evaluation
from loragrid.records import Example, read_records

NEEDED = [*AXES, "id", "sample", "prompt", "prediction", "thoughts", "reference", "new_tokens", "finish_reason"]
"""The columns of `tables/predictions.parquet` that the browser shows."""


class Sources(NamedTuple):
    """The files that the answers of a grid come from."""

    predictions: str | Path
    """`tables/predictions.parquet`."""
    scores: Sequence[str | Path]
    """Files of scores. Those of validation examples are left out."""
    tests: Sequence[str | Path]
    """Test sets."""


def answer_parts(sources: Sources, facts: FactsByScorer, main: MainMetrics, most: int | None) -> Iterator[tuple[str, Payload]]:
    """For each task its name and its answers, one task after the other: only one is in memory at a time.

    Args:
        most: of how many questions of each data set the answers are taken; None: of all.
    """
    scores: dict[str, list[str | Path]] = {}
    for path in sources.scores:
        evaluation = Evaluation.of_scores(path)
        if evaluation.split == TEST:
            scores.setdefault(evaluation.task, []).append(path)
    tests: dict[str, list[str | Path]] = {}
    for path in sources.tests:
        tests.setdefault(Dataset.of(path).task, []).append(path)
    for task in tasks_of(sources.predictions):
        predictions = pd.read_parquet(sources.predictions, columns=NEEDED, filters=[("task", "==", task)])
        examples = {
            (Dataset.of(path).sample_type, one.id): one for path in tests.get(task, ()) for one in read_records(path, Example)
        }
        if most is not None:
            predictions = of_questions(predictions, examples, most)
        yield task, answers_of_task(predictions, read_scores(scores.get(task, ())), examples, facts, main.of(task))


def tasks_of(predictions: str | Path) -> list[str]:
    """The tasks of a table of predictions, in their order."""
    return [str(task) for task in pd.read_parquet(predictions, columns=["task"])["task"].unique()]


def of_questions(predictions: pd.DataFrame, examples: Mapping[tuple[str, str], Example], most: int) -> pd.DataFrame:
    """The predictions for a few questions of each sample type: those with the smallest hash, as in a subset."""
    keys = list(dict.fromkeys(zip(predictions["sample_type"], predictions["id"], strict=True)))
    chosen: set[tuple[str, str]] = set()
    for sample_type in dict.fromkeys(sample_type for sample_type, _ in keys):
        known = [examples[key] for key in keys if key[0] == sample_type and key in examples]
        chosen |= {(sample_type, one.id) for one in by_hash(known)[:most]}
    is_chosen = [key in chosen for key in zip(predictions["sample_type"], predictions["id"], strict=True)]
    return predictions[is_chosen]


def answers_of_task(
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    examples: Mapping[tuple[str, str], Example],
    facts: FactsByScorer,
    main_metric: str,
) -> Payload:
    """The answers to the questions of one task.

    Args:
        predictions: the rows of one task.
        scores: as `read_scores` gives them, of the same task; those of other questions are left out.
        examples: the test examples, by sample type and id.
    """
    models = models_of(predictions)
    questions = list(dict.fromkeys(zip(predictions["sample_type"], predictions["id"], strict=True)))
    order = {key: place for place, key in enumerate(examples)}
    questions.sort(key=lambda key: order.get(key, len(order)))
    places = _Places(models, questions)
    numbers, answers = _joined(predictions, places)
    prompts, unique_prompts = pd.factorize(pd.Series(answers.pop("prompts"), dtype=object))
    first = predictions.drop_duplicates(["sample_type", "id"]).set_index(["sample_type", "id"])["reference"]
    return {
        "models": [model for model, _ in models.values()],
        "questions": [_question(key, examples.get(key), first[key]) for key in questions],
        "prompts": list(unique_prompts),
        "answers": answers | {"prompt": prompts.tolist()},
        **scores_of(scores, numbers, places.of(scores), facts, main_metric),
    }


def models_of(predictions: pd.DataFrame) -> dict[tuple[str, ...], tuple[Payload, int]]:
    """All models of a task, base models first and baselines last: what the page says of each, and its place.

    The keys are base model, run and the ways of asking.
    """
    asked = [name for name in MODEL if name not in ("task", "sample_type")]
    axes = predictions[AXES].drop_duplicates(asked)
    named = zip(axes["base_model"], axes["run"], strict=True)
    groups = [{BASELINE: 3, EXTERNAL: 2}.get(base_model, int(run != BASE)) for base_model, run in named]
    axes = axes.assign(label=label_runs(axes), group=groups).sort_values("group", kind="stable")
    several = axes.loc[axes["group"] < 2, "base_model"].nunique() > 1
    shown = {name: plain(axes[name]) for name in (*AXES, "label") if name not in ("task", "sample_type")}
    models: dict[tuple[str, ...], tuple[Payload, int]] = {}
    for place, key in enumerate(axes[asked].itertuples(index=False, name=None)):
        own = {name: values[place] for name, values in shown.items()}
        evaluation = Evaluation(own["base_model"], "", "", *key[1:])
        label = (
            f"{own['base_model']}: {own['label']}" if several and own["base_model"] not in (BASELINE, EXTERNAL) else own["label"]
        )
        models[key] = ({"id": f"{own['base_model']}/{evaluation.run}{evaluation.variant}", **own, "label": label}, place)
    return models


class _Places:
    """Which answer a row is about: answers are numbered by model, then by question."""

    def __init__(self, models: Mapping[tuple[str, ...], tuple[Payload, int]], questions: Sequence[tuple[str, str]]) -> None:
        self.models = {key: place for key, (_, place) in models.items()}
        self.questions = {key: place for place, key in enumerate(questions)}

    def of(self, table: pd.DataFrame) -> np.ndarray:
        """For each row of predictions or scores the number of its answer; -1 if its model or question is not among these."""
        asked = [name for name in MODEL if name not in ("task", "sample_type")]
        model = _codes(table, asked, self.models)
        question = _codes(table, ["sample_type", "id"], self.questions)
        return np.where((model < 0) | (question < 0), -1, model * len(self.questions) + question)


def _codes(table: pd.DataFrame, columns: Sequence[str], places: Mapping[Any, int]) -> np.ndarray:
    """For each row the place of its values; -1 if they have none."""
    codes, keys = pd.MultiIndex.from_frame(table[list(columns)]).factorize()
    of_keys = np.array([places.get(tuple(map(str, key)), -1) for key in keys], dtype=np.int64)
    return of_keys[codes] if len(codes) else codes.astype(np.int64)


def _joined(predictions: pd.DataFrame, places: _Places) -> tuple[list[int], dict[str, list[Any]]]:
    """The numbers of the answers, ascending, and the answers with the texts of all their samples.

    The texts of an example with several prompts are joined by lines.
    """
    rows: dict[int, dict[int, dict[str, list[str]]]] = {}
    cut: dict[int, bool] = {}
    tokens: dict[int, int | None] = {}
    columns = ("sample", "prompt", "prediction", "thoughts", "new_tokens", "finish_reason")
    for number, sample, prompt, text, thoughts, new, reason in zip(
        places.of(predictions).tolist(), *(predictions[name].tolist() for name in columns), strict=True
    ):
        own = rows.setdefault(number, {}).setdefault(int(sample), {"prompt": [], "text": [], "thoughts": []})
        own["prompt"].append(prompt)
        own["text"].append(text)
        own["thoughts"] += [thoughts] if isinstance(thoughts, str) else []
        cut[number] = cut.get(number, False) or reason == "length"
        tokens[number] = None if pd.isna(new) else (tokens.get(number) or 0) + int(new)
    numbers, per_model = sorted(rows), max(len(places.questions), 1)
    ordered = [[of for _, of in sorted(rows[number].items())] for number in numbers]
    thoughts_of = [["\n".join(of["thoughts"]) for of in samples] for samples in ordered]
    joined: dict[str, list[Any]] = {
        "model": [number // per_model for number in numbers],
        "question": [number % per_model for number in numbers],
        "texts": [["\n".join(of["text"]) for of in samples] for samples in ordered],
        "cut_off": [cut[number] for number in numbers],
        "tokens": [tokens[number] for number in numbers],
        "prompts": ["\n\n".join(dict.fromkeys(samples[0]["prompt"])) for samples in ordered],
    }
    if any(any(texts) for texts in thoughts_of):
        joined["thoughts"] = thoughts_of
    return numbers, joined


def _question(key: tuple[str, str], example: Example | None, references: Sequence[str]) -> Payload:
    """What was asked."""
    sample_type, id = key
    if example is None:
        return {
            "id": id,
            "sample_type": sample_type,
            "instruction": "",
            "input": "",
            "references": list(references),
            "metadata": {},
        }
    return {
        "id": id,
        "sample_type": sample_type,
        "instruction": example.instruction,
        "input": "\n\n".join(filter(None, [example.input, *example.prompts])),
        "references": [example.output] if isinstance(example.output, str) else list(example.output),
        "metadata": dict(example.metadata),
    }
