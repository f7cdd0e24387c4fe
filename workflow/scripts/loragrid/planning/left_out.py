"""What mixes leave out because a test set holds it, as far as it is known before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from loragrid.data.decontamination import Leaks, read_leaks
from loragrid.grid.jobs.lookups import tasks_of_mix
from loragrid.grid.runs import Grid
from loragrid.layout import DECONTAMINATE, PREPARE_DATASET, Dataset, Run
from loragrid.runtime.commands import command
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json
from loragrid.text.words import some_of


class Compared(NamedTuple):
    """The training part of a data set that is compared with the test sets."""

    leaks: Leaks
    examples: int

    def left(self, by_output: bool) -> int:
        """How many examples a mix can take."""
        return self.examples - len(self.leaks.left_out(by_output))


def describe_left_out(grid: Grid) -> list[str]:
    """Lines of the plan: how many training examples mixes leave out and why, and which mixes then lack examples."""
    # Runs that differ in other things share their mixes.
    mixed = {(run.task, run.sample_type, run.mix, run.nb_samples): run for run in grid.runs.values()}.values()
    drawn = {
        (Dataset(task, run.sample_type), grid.config.mixes[run.mix].leaks_by_output): None
        for run in mixed
        for task in tasks_of_mix(grid.config, run.task, run.mix)
    }
    datasets = dict.fromkeys(dataset for dataset, _ in drawn)
    known = {dataset: compared for dataset in datasets if (compared := _compared(grid, dataset)) is not None}
    lines = [
        line for dataset, by_output in drawn if dataset in known for line in _lines_of(dataset.name, known[dataset], by_output)
    ]
    heading = ["", "Training examples that no mix takes, because a test set holds them too:"] if lines else []
    lacking = list(_lacking(grid, mixed, known))
    if unknown := len(datasets) - len(known):
        what = f"{unknown} data set{'s' * (unknown != 1)} not compared with the test sets yet"
        lacking.append(f"{what}; this does it: {command('mixes')}")
    return [*heading, *lines, *([""] if lacking else []), *lacking]


def _lines_of(name: str, compared: Compared, by_output: bool) -> list[str]:
    gone = Counter(compared.leaks.left_out(by_output).values())
    if not gone:
        return []
    why = ", ".join(f"{reason}: {count}" for reason, count in sorted(gone.items()))
    held_by = some_of(compared.leaks.names(by_output), most=2)
    return [f"  {name}: {gone.total():,} of {compared.examples:,} ({why})", f"    held by {held_by}"]


def _lacking(grid: Grid, mixed: Iterable[Run], known: Mapping[Dataset, Compared]) -> Iterator[str]:
    """A line for each mix that asks for more training examples than are left."""
    for run in mixed:
        recipe = grid.config.mixes[run.mix]
        compared = {task: known.get(Dataset(task, run.sample_type)) for task in tasks_of_mix(grid.config, run.task, run.mix)}
        left = {task: one.left(recipe.leaks_by_output) for task, one in compared.items() if one is not None}
        if len(left) == len(compared):
            for task, size in recipe.sizes(run.task, run.nb_samples, left).items():
                if size > left[task]:
                    name = f"{run.mix}, n{run.nb_samples}, of {run.task}/{run.sample_type}"
                    yield f"mix {name}: {size:,} of {task} asked for, {left[task]:,} left"


def _compared(grid: Grid, dataset: Dataset) -> Compared | None:
    """None if a data set is not compared with the test sets yet, or what is known of that is damaged."""
    leaks = Path(grid.own(DECONTAMINATE).path("leaks", dataset.wildcards))
    manifest = Path(PREPARE_DATASET.path("manifest", dataset.wildcards))
    if not leaks.exists() or not manifest.exists():
        return None
    examples = looked_into(manifest, lambda: int(read_json(manifest, ["examples"])["examples"]["train"]))
    found = looked_into(leaks, lambda: read_leaks(leaks)["train"])
    return None if examples is None or found is None else Compared(found, examples)
