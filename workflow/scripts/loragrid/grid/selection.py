"""Ways that are chosen on validation data: what is asked for that, and what cannot be chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from loragrid.analysis.selection.candidates import candidates_among
from loragrid.analysis.selection.settings import VALIDATION_LOSS
from loragrid.config.root import Config
from loragrid.grid.axes import prediction_axes
from loragrid.layout import BASE, VALIDATION, Dataset, Evaluation, Run

Runs = Mapping[tuple[str, str], Run]
"""Runs by base model and name."""


def expand_validation(config: Config, evaluations: Iterable[Evaluation], runs: Runs) -> list[Evaluation]:
    """The evaluations on validation examples by which ways are chosen: only those between which a scorer chooses.

    A scorer that compares answers with those of the base model needs these too.

    Args:
        evaluations: those on test examples, in order.
    """
    selection = config.selection
    if selection is None or not selection.scorers:
        return []
    asked = dict.fromkeys(evaluations)
    wanted = set()
    for evaluation in chain.from_iterable(_contests(config, asked, runs)):
        scorers = [name for name in selection.scorers if name in config.tasks[evaluation.task].scorers]
        wanted |= {evaluation} if scorers else set()
        if any(config.scorers[name].compares_with_base for name in scorers):
            wanted |= {evaluation._replace(run=BASE)}
    return [evaluation._replace(split=VALIDATION) for evaluation in asked if evaluation in wanted]


def _contests(config: Config, evaluations: Iterable[Evaluation], runs: Runs) -> list[list[Evaluation]]:
    """The evaluations of the ways between which is chosen, for each choice."""
    assert config.selection is not None
    asked = list(evaluations)
    axes = [prediction_axes(one, runs.get((one.base_model, one.run))) for one in asked]
    return [
        [asked[place] for places in candidates.ways.values() for place in places]
        for candidates in candidates_among(axes, config.selection.choose, config.config_of)
    ]


def impossible_choices(config: Config, evaluations: Iterable[Evaluation], runs: Runs) -> Iterator[str]:
    """One sentence for each thing that a selection lacks: ways to choose between, what decides, validation examples.

    Args:
        evaluations: those on test examples.
    """
    selection = config.selection
    if selection is None:
        return
    contests = _contests(config, evaluations, runs)
    candidates = list(chain.from_iterable(contests))
    if not candidates:
        yield (
            f"selection.choose: there is nothing to choose: no two ways of the grid on the same data set differ only in "
            f"{' and '.join(selection.choose)}."
        )
    if VALIDATION_LOSS in selection.by:
        trained = [[runs[one.base_model, one.run] for one in contest if one.run != BASE] for contest in contests]
        yield from _without_losses(config, chain.from_iterable(trained))
        yield from _losses_of_other_tokens(config, trained)
    used = {name for one in candidates for name in config.tasks[one.task].scorers}
    for name in selection.scorers if candidates else ():
        if name not in used:
            yield f"selection.by: no task with ways to choose between has the scorer '{name}'; add it to the task's scorers."
    for dataset in dict.fromkeys(one.dataset for one in candidates) if selection.scorers else ():
        if not any(name in config.tasks[dataset.task].scorers for name in selection.scorers):
            continue
        given = config.source_of(*dataset).given_splits()
        split = config.source_of(*dataset).split
        if given is not None and VALIDATION not in given and not split.validation:
            yield _without_validation(config, dataset)


def _without_validation(config: Config, dataset: Dataset) -> str:
    name = config.tasks[dataset.task].data_set(dataset.sample_type).source
    said = f"task '{dataset.task}', sample type '{dataset.sample_type}' has no validation examples to choose by"
    return f"selection.by: {said}; give sources.{name}.splits.validation, or cut some with sources.{name}.split.validation."


def _without_losses(config: Config, runs: Iterable[Run]) -> Iterator[str]:
    """One sentence for each mix and each config with which a training has no validation loss."""
    runs = list(runs)
    for mix in dict.fromkeys(run.mix for run in runs):
        if not config.mixes[mix].nb_validation:
            yield f"selection.by: runs of mix '{mix}' have no validation loss; set mixes.{mix}.nb_validation."
    trained = {run.config: config.trainings[run.config] for run in runs}
    bare = [name for name, training in trained.items() if not (training.evaluations or training.validate_every)]
    for name in dict.fromkeys(config.config_of[name] for name in bare):
        yield f"selection.by: runs of config '{name}' have no validation loss; set configs.{name}.evaluations."


def _losses_of_other_tokens(config: Config, contests: Iterable[Iterable[Run]]) -> Iterator[str]:
    """A sentence if trainings compete by a loss that counts other tokens of the same conversations."""
    tasks = config.tasks.values()
    if all(task.data_set(sample_type).messages is None for task in tasks for sample_type in task.sample_types):
        return
    for runs in contests:
        learning = {config.trainings[run.config].loss_turns: run.config for run in runs if run.loss_computation == "completion"}
        if len(learning) > 1:
            said = "their loss_turns differ, so that it is computed on other tokens; give a metric"
            between = f"'{learning['last']}' and '{learning['all']}'"
            yield f"selection.by: {VALIDATION_LOSS} cannot choose between {between}: {said}."
            return
