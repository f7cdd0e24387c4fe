"""What the grid asks for although it is impossible: one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from loragrid import layout
from loragrid.config.on_disk import missing_files, stated_rows
from loragrid.config.root import Config
from loragrid.data.tasks import BASELINES
from loragrid.grid.runs import evaluated_datasets, expand_evaluations, runs_by_name
from loragrid.grid.selection import impossible_choices
from loragrid.layout import BASE, Dataset, Evaluation
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json
from loragrid.sections import decisive


def misplaced_predictions(config: Config) -> Iterator[str]:
    """One sentence for each file of external predictions whose base model, for comparison, the grid does not ask."""
    evaluations = set(expand_evaluations(config)) if config.external_predictions else set()
    for name, external in config.external_predictions.items():
        where = f"external_predictions.{name}"
        if name == BASE:
            yield f"{where}: this name is kept for the base models themselves."
        for file in external.files:
            of_data = f"task '{file.task}', sample type '{file.sample_type}'"
            if external.base_model and Evaluation(external.base_model, file.task, file.sample_type, BASE) not in evaluations:
                yield (
                    f"{where}.base_model: the grid does not ask base model '{external.base_model}' on {of_data} (zero_shot, "
                    "default prompt), so that there is nothing to compare with."
                )


def ratings_of_nobody(config: Config) -> Iterator[str]:
    """One sentence for each name among the rated `runs` of a scorer that stands for no predictions."""
    used = {name for task in config.tasks.values() for name in task.scorers}
    named = {name: scorer.rated_runs for name, scorer in config.scorers.items() if name in used}
    known = {BASE, *BASELINES, *config.external_predictions}
    if any(run not in known for runs in named.values() for run in runs):
        known |= {evaluation.run for evaluation in expand_evaluations(config)}
    for name, runs in named.items():
        for i, run in enumerate(runs):
            if run not in known:
                yield f"scorers.{name}.runs[{i}]: '{run}' is neither a run of the grid nor the name of external predictions."


def unknown_likelihoods(config: Config) -> Iterator[str]:
    """One sentence for each likelihood that a scorer of a task reads and that cannot be had: from engines, of joined answers."""
    reading = {name for name, scorer in config.scorers.items() if scorer.given_texts}
    tasks = {name: [one for one in task.scorers if one in reading] for name, task in config.tasks.items()}
    if not any(tasks.values()):
        return
    asked = dict.fromkeys((one.task, one.base_model) for one in expand_evaluations(config))
    for task in dict.fromkeys(task for task, _ in asked):
        for name in tasks[task]:
            if config.tasks[task].answers == "joined":
                said = "the prompts of an example share one answer, while each has likelihoods of its own"
                yield f"tasks.{task}.scorers: '{name}' does not go with answers: joined: {said}."
    for task, base_model in asked:
        engine = config.models[base_model].engine
        if tasks[task] and not engine.tells_likelihoods:
            said = f"does not tell how likely a given text is, which scorer '{tasks[task][0]}' of task '{task}' reads"
            yield f"models.{base_model}.engine: type {engine.type} {said}; {engine.likelihood_advice}."


def oversized_mixes(config: Config, nb_train: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """One sentence for each `nb_samples` that is larger than its training data.

    Args:
        nb_train: training examples by (task, sample type), as far as they are known.
    """
    for i, block in enumerate(config.grid):
        for j, nb_samples in enumerate(block.nb_samples):
            for task, sample_type in product(block.tasks, block.sample_types):
                available = nb_train.get((task, sample_type), nb_samples)
                if nb_samples > available:
                    yield (
                        f"grid[{i}].nb_samples[{j}]: {nb_samples} is more than the {available} training examples of "
                        f"task '{task}', sample type '{sample_type}'."
                    )


def without_training_data(config: Config, nb_train: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """One sentence for each mix that draws from data without training examples, and each prompting that would show such data.

    Args:
        nb_train: training examples by (task, sample type), as far as they are known.
    """
    bare = {data for data, available in nb_train.items() if not available}
    for i, block in enumerate(config.grid):
        for j, mix in enumerate(block.mixes):
            others = [task for task in config.mixes[mix].named_tasks if block.tasks != [task]]
            for task, sample_type in product(others, block.sample_types):
                if (task, sample_type) in bare:
                    of_data = f"task '{task}', sample type '{sample_type}'"
                    yield f"grid[{i}].mixes[{j}]: '{mix}' draws from {of_data}, which has no training examples."
        of_block = product(block.tasks, block.sample_types, block.prompt_variants)
        evaluated = [
            dataset
            for task, sample_type, prompt in of_block
            for dataset in evaluated_datasets(config, block, Dataset(task, sample_type), prompt)
        ]
        for j, prompting in enumerate(block.promptings):
            for task, sample_type in dict.fromkeys(evaluated):
                if config.prompting(prompting).type != "zero_shot" and (task, sample_type) in bare:
                    of_data = f"task '{task}', sample type '{sample_type}'"
                    yield f"grid[{i}].promptings[{j}]: '{prompting}' shows training examples, of which {of_data} has none."


def problems(config: Config) -> list[str]:
    """One sentence for each problem outside of the configuration itself: on this machine, or in the sizes of data."""
    rows = known_rows(config)
    return [
        *missing_files(config),
        *oversized_mixes(config, rows),
        *without_training_data(config, rows),
        *misplaced_predictions(config),
        *ratings_of_nobody(config),
        *unknown_likelihoods(config),
        *(impossible_choices(config, expand_evaluations(config), runs_by_name(config)) if config.selection else ()),
    ]


def known_rows(config: Config) -> dict[tuple[str, str], int]:
    """Training examples by (task, sample type): as prepared if that is done, else as far as the source tells."""
    rows = stated_rows(config)
    for task_name, task in config.tasks.items():
        for sample_type in task.sample_types:
            path = Path(layout.PREPARE_DATASET.path("manifest", Dataset(task_name, sample_type).wildcards))
            if path.exists():
                manifest = looked_into(path, partial(read_json, path, ["examples"])) or {}
                is_current = is_prepared_as_configured(config, Dataset(task_name, sample_type), manifest)
                if is_current and isinstance(prepared := manifest["examples"].get("train"), int):
                    rows[task_name, sample_type] = prepared
    return rows


def is_prepared_as_configured(config: Config, dataset: Dataset, manifest: Any) -> bool:
    """Whether a data set was prepared as the configuration now says, by its manifest."""
    task = config.tasks[dataset.task]
    told = (task.data_set(dataset.sample_type), config.source_of(*dataset), task.cleaning)
    keys = ("fields", "source", "cleaning")
    return isinstance(manifest, dict) and [manifest.get(key) for key in keys] == [decisive(section) for section in told]
