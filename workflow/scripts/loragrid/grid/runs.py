"""The grid: blocks of axes become runs and their evaluations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from loragrid.config.evaluation import Block
from loragrid.config.root import Config
from loragrid.grid.selection import expand_validation
from loragrid.layout import BASE, BASELINE, EXTERNAL, Dataset, Evaluation, Files, Run


@dataclass(frozen=True)
class Grid:
    """What a configuration expands into. Each part is computed once, at its first use."""

    config: Config
    is_stored: bool = False
    """Whether a storage keeps the results. A job then has copies only of files that its rule names."""

    def own(self, files: Files) -> Files:
        """The files of a rule as this experiment has them, if it has a name and experiments do not share them."""
        return files.of_experiment(self.config.experiment)

    @cached_property
    def runs(self) -> dict[tuple[str, str], Run]:
        """The trained models, by base model and name."""
        return runs_by_name(self.config)

    @cached_property
    def evaluations(self) -> dict[Evaluation, None]:
        """The evaluations of our models on test examples, in order."""
        return dict.fromkeys(expand_evaluations(self.config))

    @cached_property
    def validated(self) -> dict[Evaluation, None]:
        """The evaluations of our models on validation examples, by which ways are chosen, in order."""
        return dict.fromkeys(expand_validation(self.config, self.evaluations, self.runs))

    @cached_property
    def asked(self) -> dict[Evaluation, None]:
        """All evaluations of our models, those on test examples first."""
        return self.evaluations | self.validated

    @cached_property
    def evaluations_of(self) -> dict[tuple[str, str], list[Evaluation]]:
        """The evaluations of each base model and run on test examples, so that no run has to look through all of them."""
        by_run: dict[tuple[str, str], list[Evaluation]] = {}
        for evaluation in self.evaluations:
            by_run.setdefault((evaluation.base_model, evaluation.run), []).append(evaluation)
        return by_run

    @cached_property
    def first_asked(self) -> dict[Evaluation, str]:
        """The first sample type on which each model is asked, by the evaluation without its sample type."""
        return {evaluation._replace(sample_type=""): evaluation.sample_type for evaluation in reversed(self.asked)}

    @cached_property
    def external(self) -> dict[Evaluation, str]:
        """What is predicted elsewhere, with the files."""
        return expand_external(self.config)

    @cached_property
    def datasets(self) -> list[Dataset]:
        """The data sets on which something is evaluated. Data sets that a run is trained on come first."""
        return list(dict.fromkeys(evaluation.dataset for evaluation in (*self.evaluations, *self.external)))

    @cached_property
    def only_trained_on(self) -> list[Dataset]:
        """The data sets that runs are trained for and nothing is evaluated on."""
        trained = dict.fromkeys(Dataset(run.task, run.sample_type) for run in self.runs.values())
        return [dataset for dataset in trained if dataset not in self.datasets]

    @cached_property
    def tasks_of_several_types(self) -> set[str]:
        """The tasks that runs are trained for on more than one sample type."""
        trained = {(run.task, run.sample_type) for run in self.runs.values()}
        return {task for task, number in Counter(task for task, _ in trained).items() if number > 1}

    @cached_property
    def trivial(self) -> list[Evaluation]:
        """The trivial baselines of all data sets."""
        return expand_baselines(self.config, self.datasets)


def block_runs(config: Config, block: Block) -> Iterator[Run]:
    """Every combination of the block's axes. A config with a sweep stands for all of its settings."""
    axes = (
        block.base_models,
        block.tasks,
        block.sample_types,
        block.mixes,
        block.nb_samples,
        config.trainings_named(block.configs),
        block.loss_computations,
        block.seeds,
    )
    return map(Run._make, product(*axes))


def evaluated_datasets(config: Config, block: Block, own: Dataset, prompt: str) -> list[Dataset]:
    """The data sets on which the runs of a block for one data set are evaluated; those of the same task come first."""
    wanted = block.evaluate_on.sample_types
    return [
        Dataset(task, sample_type)
        for sample_type in ([own.sample_type] if wanted == "same" else dict.fromkeys(wanted))
        for task in evaluated_tasks(config, block, own.task, sample_type, prompt)
    ]


def evaluated_tasks(config: Config, block: Block, task: str, sample_type: str, prompt: str) -> list[str]:
    """The tasks that the runs of a block for one task are evaluated on with references of a sample type, this one first."""
    wanted = block.evaluate_on.tasks
    if wanted == "all":
        known = config.tasks
        others = [t for t in grid_tasks(config) if sample_type in known[t].sample_types and known[t].has_prompt(prompt)]
    else:
        others = [] if wanted == "same" else wanted
    return list(dict.fromkeys([task, *others]))


def grid_tasks(config: Config) -> list[str]:
    """The tasks of the grid, for training or evaluation."""
    trained = [task for block in config.grid for task in block.tasks]
    listed = [block.evaluate_on.tasks for block in config.grid if isinstance(block.evaluate_on.tasks, list)]
    return trained + [task for tasks in listed for task in tasks]


def expand_evaluations(config: Config) -> list[Evaluation]:
    """What is predicted: each block's base models and runs, in each of its ways of asking.

    Base models come before runs. A run's own task comes before its other tasks, and its own sample type before others.
    """
    by_place: dict[tuple[bool, bool, bool], list[Evaluation]] = {}
    for block in config.grid:
        for asked in product(block.promptings, block.prompt_variants, block.decodings):
            bases = [(*data, BASE) for data in product(block.base_models, block.tasks, block.sample_types)]
            runs = [(run.base_model, run.task, run.sample_type, run.name) for run in block_runs(config, block)]
            for base_model, own_task, own_type, name in bases + runs:
                for task, sample_type in evaluated_datasets(config, block, Dataset(own_task, own_type), asked[1]):
                    evaluation = Evaluation(base_model, task, sample_type, name, *asked)
                    place = (name != BASE, task != own_task, sample_type != own_type)
                    by_place.setdefault(place, []).append(evaluation)
    return list(dict.fromkeys(evaluation for place in sorted(by_place) for evaluation in by_place[place]))


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
    predicted = [*expand_evaluations(config), *expand_external(config)]
    return predicted + expand_baselines(
        config, dict.fromkeys((evaluation.task, evaluation.sample_type) for evaluation in predicted)
    )


def runs_by_name(config: Config) -> dict[tuple[str, str], Run]:
    """The runs of all blocks, by base model and name."""
    return {(run.base_model, run.name): run for run in expand_grid(config)}


def expand_grid(config: Config) -> list[Run]:
    """The runs of all blocks, in the order of the blocks, each once."""
    return list(dict.fromkeys(run for block in config.grid for run in block_runs(config, block)))
