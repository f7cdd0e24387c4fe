"""The configuration as a whole: every section, under its key.

The JSON schema under `workflow/schemas/` and the reference in `docs/configuration.md` are generated from here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.selection.settings import Selection
from loragrid.config.evaluation import Block, ExternalPredictions, Pruning, ReportSettings
from loragrid.config.models import BaseModelEntry, Encoder, RewardModel
from loragrid.data.chat import FIXED_DATE
from loragrid.data.mixes import AnyMix
from loragrid.data.prompting import AnyPrompting, Prompting, ZeroShot
from loragrid.data.sources import AnyDataSource, DataSource
from loragrid.data.tasks import BASELINES, LEARNING_BASELINES, Task
from loragrid.inference.settings import Checks, DecodingEntry, Forgetting
from loragrid.layout import TEST, Evaluation
from loragrid.models.hub import HubUpload
from loragrid.scoring.human_sheets import HumanEvaluation
from loragrid.scoring.registry import Scorer
from loragrid.sections import Name, NonNegative, Section
from loragrid.training.method import Training
from loragrid.training.methods import TrainingConfig
from loragrid.training.settings import Seeds

# The name of a folder.
ExperimentName = Annotated[Name, StringConstraints(max_length=100)]


class Config(Section):
    """The whole configuration of an experiment."""

    experiment: ExperimentName | None = Field(
        None,
        description="Name of the experiment. Its tables, figures, report, sheets and plan are then in "
        "`results/experiments/<name>/`; models, data, adapters, predictions and scores are shared with other experiments.",
    )
    models: dict[Name, BaseModelEntry] = Field(default={}, description="Base models by name.")
    encoders: dict[Name, Encoder] = Field(default={}, description="Sentence encoders by name, for scorers.")
    reward_models: dict[Name, RewardModel] = Field(default={}, description="Reward models by name, for scorers.")
    sources: dict[Name, AnyDataSource] = Field(min_length=1, description="Data sources by name.")
    tasks: dict[Name, Task] = Field(min_length=1, description="Tasks by name.")
    mixes: dict[Name, AnyMix] = Field(default={}, description="Mix recipes by name.")
    configs: dict[Name, TrainingConfig] = Field(default={}, description="Training configurations by name.")
    scorers: dict[Name, Scorer] = Field(min_length=1, description="Scorers by name.")
    promptings: dict[Name, AnyPrompting] = Field(
        default={}, description="Ways of asking by name. `zero_shot` always exists: the question alone."
    )
    decodings: dict[Name, DecodingEntry] = Field(
        default={},
        description="Ways to choose the tokens of an answer by name. `greedy` always exists: the likeliest token each time.",
    )
    seeds: dict[NonNegative, Seeds] = Field(
        default={}, description="Spells out a value of the `seeds` axis whose three random seeds differ."
    )
    date: str = Field(
        FIXED_DATE,
        description="The date, as `2025-01-31`, that prompts tell where a chat template asks for the day (`strftime_now`). So "
        "prompts do not depend on the day on which they are written.",
    )
    trackers: list[Literal["tensorboard", "wandb", "mlflow", "trackio"]] = Field(
        default=[],
        description="Where trainings are followed while they run, besides `loss.csv`, and where the target `tracked` sends final "
        "scores and verdicts: TensorBoard (`results/trackers/`), Weights & Biases, MLflow or Trackio (set up by their own "
        "environment variables; without any, MLflow and Trackio keep their files in `results/trackers/` too). Their packages "
        "are not installed by default.",
    )
    hub: HubUpload | None = Field(None, description="Where the target `pushed` uploads trained models.")
    grid: list[Block] = Field(
        default=[],
        description="Blocks of combinations; the grid is their union. It may be empty where there are "
        "`external_predictions`; then only these are scored.",
    )
    external_predictions: dict[Name, ExternalPredictions] = Field(
        default={}, description="Predictions made elsewhere, by the name that they have among our runs."
    )
    human_evaluations: dict[Name, HumanEvaluation] = Field(default={}, description="Sheets for annotators, by name.")
    checks: Checks = Field(default=Checks(), description="The generation check of each model.")
    forgetting: Forgetting | None = Field(
        None,
        description="How trainings are probed for what they forget of general language; null: not at all. `{}`: with the text "
        "and the sizes that are usual here.",
    )
    selection: Selection | None = Field(
        None, description="Which ways are chosen on validation data, to be reported on test data."
    )
    report: ReportSettings = Field(default=ReportSettings(), description="What the report shows.")
    prune: Pruning = Field(default=Pruning(), description="Which other configurations' results `prunable` does not list.")

    @field_validator("date", mode="before")
    @classmethod
    def _date_is_a_day(cls, value: Any) -> str:
        # YAML reads an unquoted date as one.
        text = value.isoformat() if isinstance(value, datetime.date) else str(value)
        try:
            return datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError("expected a date in the form 2025-01-31") from None

    @cached_property
    def settings_of(self) -> dict[str, dict[str, Training]]:
        """The trainings that each config stands for, by their names: the settings of its sweep, or the config itself."""
        return {name: training.trainings(name) for name, training in self.configs.items()}

    @cached_property
    def trainings(self) -> dict[str, Training]:
        """All trainings that configs stand for, by the names that they have in runs."""
        return {name: training for of_one in self.settings_of.values() for name, training in of_one.items()}

    @cached_property
    def config_of(self) -> dict[str, str]:
        """The config that each training belongs to, by the training's name."""
        return {name: config for config, of_one in self.settings_of.items() for name in of_one}

    def trainings_named(self, names: Iterable[str]) -> list[str]:
        """The names of the trainings that are meant: a config with a sweep means all of its settings; one may be named itself."""
        return list(dict.fromkeys(one for name in names for one in self.settings_of.get(name, (name,))))

    @property
    def metrics(self) -> list[str]:
        """All metrics of the tasks' scorers, as `scorer/metric`."""
        return list(dict.fromkeys(metric for task in self.tasks.values() for metric in self.metrics_of_task(task)))

    def metrics_of_task(self, task: Task) -> list[str]:
        """All metrics of a task's scorers, as `scorer/metric`."""
        known = [name for name in task.scorers if name in self.scorers]
        return [f"{name}/{metric}" for name in known for metric in (*self.metrics_of(name), *self.scorers[name].corpus_metrics)]

    def metrics_of(self, scorer: str) -> tuple[str, ...]:
        """The metrics that a scorer gives for each example."""
        criteria = {name: evaluation.values for name, evaluation in self.human_evaluations.items()}
        return self.scorers[scorer].metrics_of_example(criteria)

    @property
    def limits_of_metrics(self) -> dict[str, tuple[float, float]]:
        """The least and the largest value of metrics that have such, as `scorer/metric`."""
        criteria = {name: evaluation.values for name, evaluation in self.human_evaluations.items()}
        used = dict.fromkeys(name for task in self.tasks.values() for name in task.scorers)
        return {
            f"{name}/{metric}": limits
            for name in used
            for metric, limits in self.scorers[name].limits_of_metrics(criteria).items()
        }

    @property
    def main_metric(self) -> str:
        """The main metric of all tasks that have no other one."""
        return self.report.metric or self.metrics[0]

    @property
    def task_metrics(self) -> dict[str, str]:
        """The main metrics of the tasks that have another one than `main_metric`."""
        found = {}
        for name, task in self.tasks.items():
            of_task = self.metrics_of_task(task)
            own = task.metric or (self.main_metric if self.main_metric in of_task else next(iter(of_task), self.main_metric))
            if own != self.main_metric:
                found[name] = own
        return found

    @property
    def main_metrics(self) -> MainMetrics:
        """The main metric of each task."""
        return MainMetrics(self.main_metric, self.task_metrics)

    def source_of(self, task: str, sample_type: str) -> DataSource:
        """The data source of a data set."""
        return self.sources[self.tasks[task].data_set(sample_type).source or ""]

    def subset_of(self, evaluation: Evaluation) -> int | None:
        """How many examples of its split an evaluation asks; None: all."""
        if evaluation.split == TEST:
            return self.tasks[evaluation.task].subset
        return None if self.selection is None else self.selection.subset

    def baselines(self, task: str, sample_type: str) -> list[str]:
        """The trivial baselines of a data set."""
        of_task = self.tasks[task]
        if of_task.baselines is not None:
            return list(of_task.baselines)
        given = self.source_of(task, sample_type).given_splits()
        learns = given is None or bool(given & {"train", "all"})
        inapplicable = {*(() if of_task.rule else ("rule",)), *(() if learns else LEARNING_BASELINES)}
        return [name for name in BASELINES if name not in inapplicable]

    def prompting(self, name: str) -> Prompting:
        """A way of asking by name."""
        return self.promptings.get(name) or ZeroShot(type="zero_shot")

    def decoding(self, name: str, task: str, base_model: str) -> dict[str, Any]:
        """All settings of a decoding by name. Its own take precedence over the model's settings, and these over the task's."""
        entry, of_model = self.decodings.get(name) or DecodingEntry(), self.models[base_model].generation
        settings = entry.model_dump() | {
            key: value
            for key, value in of_model.model_dump(exclude_none=True).items()
            if getattr(entry, key) is None and (entry.temperature or key not in ("top_p", "top_k"))
        }
        of_task = self.tasks[task]
        settings["max_new_tokens"] = settings["max_new_tokens"] or of_task.max_new_tokens
        settings["min_new_tokens"] = settings["min_new_tokens"] or of_task.min_new_tokens
        return {key: value for key, value in settings.items() if value is not None}

    def seeds_of(self, seed: int) -> Seeds:
        """The three random seeds that one value of the `seeds` axis stands for."""
        return self.seeds.get(seed) or Seeds(adapter_init=seed, data_order=seed, mix=seed)
