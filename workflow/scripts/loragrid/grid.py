"""The grid: blocks of axes become runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import NamedTuple

from loragrid.config import BASELINE, BASELINES, EXTERNAL, Block, Config, mix_tasks
from loragrid.scorer_settings import RatingsScorer

BASE = "base"
"""Stands for the untrained base model where a run's name would stand."""


class Run(NamedTuple):
    """One trained model. `task` and `sample_type` say what it is trained on."""

    base_model: str
    task: str
    sample_type: str
    mix: str
    nb_samples: int
    config: str
    loss_computation: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name, unique within its base model."""
        return (
            f"{self.task}__{self.sample_type}__{self.mix}__n{self.nb_samples}"
            f"__{self.config}__{self.loss_computation}__seed{self.seed}"
        )


def block_runs(block: Block) -> Iterator[Run]:
    """Every combination of the block's axes."""
    axes = (
        block.base_models,
        block.tasks,
        block.sample_types,
        block.mixes,
        block.nb_samples,
        block.configs,
        block.loss_computations,
        block.seeds,
    )
    return map(Run._make, product(*axes))


class Evaluation(NamedTuple):
    """One set of predictions: by a run, a base model or somebody else, on one data set, asked in one way."""

    base_model: str
    task: str
    sample_type: str
    run: str
    """Name of the run or of the external predictions, or `BASE`."""
    prompting: str = "zero_shot"
    prompt: str = "default"
    decoding: str = "greedy"

    @property
    def variant(self) -> str:
        """What stands behind the run's name where it is not asked the usual way: zero shot, in the default prompt, greedily."""
        asked = [self.prompting, self.prompt, *([] if self.decoding == USUAL[2] else [self.decoding])]
        return "" if tuple(asked) == USUAL[:2] else "".join(f"~{part}" for part in asked)


USUAL = ("zero_shot", "default", "greedy")
"""Prompting, prompt variant and decoding where nothing else is said."""


def parse_variant(name: str) -> tuple[str, str, str, str]:
    """Run, prompting, prompt variant and decoding from a run's name with its variant."""
    run, *asked = name.split("~")
    prompting, prompt, decoding = (*asked, *USUAL[len(asked) :])
    return run, prompting, prompt, decoding


def evaluated_tasks(config: Config, block: Block, task: str, sample_type: str, prompt: str) -> list[str]:
    """The tasks that the runs of a block for one task are evaluated on, this one first."""
    if isinstance(block.evaluate_on, list):
        others = block.evaluate_on
    elif block.evaluate_on == "all":
        known = config.tasks
        others = [t for t in grid_tasks(config) if sample_type in known[t].sample_types and known[t].has_prompt(prompt)]
    else:
        others = []
    return list(dict.fromkeys([task, *others]))


def grid_tasks(config: Config) -> list[str]:
    """The tasks that occur in the grid, to train for or to evaluate on."""
    trained = [task for block in config.grid for task in block.tasks]
    return trained + [task for block in config.grid if isinstance(block.evaluate_on, list) for task in block.evaluate_on]


def expand_evaluations(config: Config) -> list[Evaluation]:
    """What is predicted: each block's base models and runs, in each of its ways of asking.

    Base models come before runs, and what a run is trained for before what it is evaluated on besides.
    """
    found: dict[tuple[bool, bool], list[Evaluation]] = {}
    for block in config.grid:
        for asked in product(block.promptings, block.prompt_variants, block.decodings):
            bases = [(*data, BASE) for data in product(block.base_models, block.tasks, block.sample_types)]
            runs = [(run.base_model, run.task, run.sample_type, run.name) for run in block_runs(block)]
            for base_model, own_task, sample_type, name in bases + runs:
                for task in evaluated_tasks(config, block, own_task, sample_type, asked[1]):
                    one = Evaluation(base_model, task, sample_type, name, *asked)
                    found.setdefault((name != BASE, task != own_task), []).append(one)
    return list(dict.fromkeys(one for place in sorted(found) for one in found[place]))


def expand_external(config: Config) -> dict[Evaluation, str]:
    """What is predicted elsewhere, with the files."""
    return {
        Evaluation(external.base_model or EXTERNAL, file.task, file.sample_type, name): file.path
        for name, external in config.external_predictions.items()
        for file in external.files
    }


def expand_baselines(config: Config, datasets: Iterable[tuple[str, str]]) -> list[Evaluation]:
    """The trivial baselines of all data sets, which are given by task and sample type."""
    return [Evaluation(BASELINE, *data, name) for data in datasets for name in config.baselines(*data)]


def expand_predictions(config: Config) -> list[Evaluation]:
    """All that is predicted: by models, elsewhere, and by trivial baselines."""
    found = [*expand_evaluations(config), *expand_external(config)]
    return found + expand_baselines(config, dict.fromkeys((one.task, one.sample_type) for one in found))


def misplaced_predictions(config: Config) -> Iterator[str]:
    """One sentence for each file of external predictions that is to be compared with a base model that the grid does not ask."""
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
    """One sentence for each name among the rated `runs` of a scorer whose answers nobody gives."""
    used = {name for task in config.tasks.values() for name in task.scorers}
    named = {
        name: one.runs for name, one in config.scorers.items() if isinstance(one, RatingsScorer) and one.runs and name in used
    }
    known = {BASE, *BASELINES, *config.external_predictions}
    if any(run not in known for runs in named.values() for run in runs):
        known |= {evaluation.run for evaluation in expand_evaluations(config)}
    for name, runs in named.items():
        for i, run in enumerate(runs):
            if run not in known:
                yield f"scorers.{name}.runs[{i}]: '{run}' is neither a run of the grid nor the name of external predictions."


def expand_grid(config: Config) -> list[Run]:
    """The runs of all blocks, in the order of the blocks, each once."""
    return list(dict.fromkeys(run for block in config.grid for run in block_runs(block)))


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
    """One sentence for each mix that draws from data without training examples, and each prompting that would show some.

    Args:
        nb_train: training examples by (task, sample type), as far as they are known.
    """
    bare = {data for data, available in nb_train.items() if not available}
    for i, block in enumerate(config.grid):
        for j, mix in enumerate(block.mixes):
            others = [task for task in mix_tasks(config.mixes[mix]) if block.tasks != [task]]
            for task, sample_type in product(others, block.sample_types):
                if (task, sample_type) in bare:
                    of_data = f"task '{task}', sample type '{sample_type}'"
                    yield f"grid[{i}].mixes[{j}]: '{mix}' draws from {of_data}, which has no training examples."
        of_block = product(block.tasks, block.sample_types, block.prompt_variants)
        evaluated = [
            (task, sample_type)
            for own, sample_type, prompt in of_block
            for task in evaluated_tasks(config, block, own, sample_type, prompt)
        ]
        for j, prompting in enumerate(block.promptings):
            for task, sample_type in dict.fromkeys(evaluated):
                if config.prompting(prompting).type != "zero_shot" and (task, sample_type) in bare:
                    of_data = f"task '{task}', sample type '{sample_type}'"
                    yield f"grid[{i}].promptings[{j}]: '{prompting}' shows training examples, of which {of_data} has none."
