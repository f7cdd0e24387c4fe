"""What the wildcards of a job refer to."""

from __future__ import annotations

from collections.abc import Mapping

from loragrid.config.models import BaseModelEntry, Encoder, RewardModel
from loragrid.config.root import Config
from loragrid.data.sources import DataSource
from loragrid.data.tasks import PromptVariant
from loragrid.errors import UserError
from loragrid.grid.runs import Grid
from loragrid.layout import BASE, Evaluation, Run

Wildcards = Mapping[str, str]


def run_of(grid: Grid, wildcards: Wildcards) -> Run | None:
    """The run that wildcards name; None if they name a base model.

    Raises:
        UserError: if the grid has no such run.
    """
    if wildcards["run"] == BASE:
        return None
    return trained_run(grid, wildcards)


def trained_run(grid: Grid, wildcards: Wildcards) -> Run:
    """The run that wildcards name.

    Raises:
        UserError: if the grid has no such run.
    """
    try:
        return grid.runs[wildcards["base_model"], wildcards["run"]]
    except KeyError:
        raise UserError(f"the grid has no run '{wildcards['run']}' of base model '{wildcards['base_model']}'.") from None


def pretrained(config: Config, name: str) -> BaseModelEntry | Encoder | RewardModel:
    """The entry of a base model, encoder or reward model."""
    return config.models.get(name) or config.encoders.get(name) or config.reward_models[name]


def all_pretrained(config: Config) -> list[BaseModelEntry | Encoder | RewardModel]:
    """The entries of all base models, encoders and reward models."""
    return [*config.models.values(), *config.encoders.values(), *config.reward_models.values()]


def data_source(config: Config, wildcards: Wildcards) -> DataSource:
    """Where the rows of a data set come from."""
    return config.source_of(wildcards["task"], wildcards["sample_type"])


def prompt_variant(config: Config, evaluation: Evaluation) -> PromptVariant:
    """How the prompt of an evaluation differs from the usual one."""
    return config.tasks[evaluation.task].prompt_variants.get(evaluation.prompt) or PromptVariant()


def is_full(config: Config, run: Run) -> bool:
    """Whether a run trains all weights, so that its result is a model instead of an adapter."""
    return config.trainings[run.config].makes_whole_model


def tasks_of_mix(config: Config, task: str, mix: str) -> list[str]:
    """The tasks that a mix for a task draws from, that task first."""
    return list(dict.fromkeys([task, *config.mixes[mix].named_tasks]))


def mix_of(config: Config, run: Run) -> dict[str, str]:
    """The wildcards of a run's mix."""
    return {
        "task": run.task,
        "sample_type": run.sample_type,
        "mix": run.mix,
        "nb_samples": str(run.nb_samples),
        "mix_seed": str(config.seeds_of(run.seed).mix),
    }


def answered_by_server(config: Config, base_model: str) -> bool:
    """Whether a base model computes elsewhere when it is asked."""
    return config.models[base_model].engine.is_server


def why_not_merged(config: Config, run: Run) -> str:
    """Why a run's result cannot be made one model with its base; empty if it can."""
    if config.trainings[run.config].merges:
        return ""
    return f"configs.{config.config_of[run.config]} learns what stands beside the weights, not a change of them."
