"""What mixes leave out because a test set holds it, as far as it is known before anything is trained."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from loragrid.data.decontamination import Leaks, read_leaks
from loragrid.grid.jobs.lookups import tasks_of_mix
from loragrid.grid.runs import Grid
from loragrid.layout import DECONTAMINATE, PREPARE_DATASET, Dataset
from loragrid.text.words import some_of


def describe_left_out(grid: Grid) -> list[str]:
    """Lines of the plan: how many training examples mixes leave out and why, and which mixes then lack examples."""
    recipes = grid.config.mixes
    drawn = {
        (Dataset(task, run.sample_type), recipes[run.mix].leaks_by_output): None
        for run in grid.runs.values()
        for task in tasks_of_mix(grid.config, run.task, run.mix)
    }
    known = {dataset: found for dataset, _ in drawn if (found := _known_leaks(dataset)) is not None}
    lines = []
    for dataset, by_output in drawn:
        if dataset in known and (gone := known[dataset].left_out(by_output)):
            why = ", ".join(f"{reason}: {count}" for reason, count in sorted(Counter(gone.values()).items()))
            lines.append(f"  {dataset.name}: {len(gone):,} of {_nb_train(dataset):,} ({why})")
            lines.append(f"    held by {some_of(known[dataset].names(by_output), most=2)}")
    heading = ["", "Training examples that no mix takes, because a test set holds them too:"] if lines else []
    lacking = _lacking(grid, known)
    unknown = len({dataset for dataset, _ in drawn} - known.keys())
    if unknown:
        lacking.append(
            f"{unknown} data set{'s' * (unknown != 1)} not compared with the test sets yet; `snakemake mixes` does that."
        )
    return [*heading, *lines, *([""] if lacking else []), *lacking]


def _lacking(grid: Grid, known: Mapping[Dataset, Leaks]) -> list[str]:
    """A line for each mix that asks for more training examples than are left."""
    lines: dict[str, None] = {}
    for run in grid.runs.values():
        recipe, tasks = grid.config.mixes[run.mix], tasks_of_mix(grid.config, run.task, run.mix)
        datasets = {task: Dataset(task, run.sample_type) for task in tasks}
        if not all(dataset in known for dataset in datasets.values()):
            continue
        left = {
            task: _nb_train(dataset) - len(known[dataset].left_out(recipe.leaks_by_output)) for task, dataset in datasets.items()
        }
        for task, size in recipe.sizes(run.task, run.nb_samples, left).items():
            if size > left[task]:
                name = f"{run.mix}, n{run.nb_samples}, of {run.task}/{run.sample_type}"
                lines[f"mix {name}: {size:,} of {task} asked for, {left[task]:,} left"] = None
    return list(lines)


def _known_leaks(dataset: Dataset) -> Leaks | None:
    """The leaks of a data set's training part; None if it is not compared with the test sets yet."""
    path = Path(DECONTAMINATE.path("leaks", dataset.wildcards))
    there = path.exists() and Path(PREPARE_DATASET.path("manifest", dataset.wildcards)).exists()
    return read_leaks(path)["train"] if there else None


def _nb_train(dataset: Dataset) -> int:
    manifest = Path(PREPARE_DATASET.path("manifest", dataset.wildcards))
    return int(json.loads(manifest.read_text(encoding="utf-8"))["examples"]["train"])
