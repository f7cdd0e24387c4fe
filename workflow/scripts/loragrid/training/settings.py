"""What the job of a training is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidatorFunctionWrapHandler, field_serializer, field_validator

from loragrid.data.render import ModelSettings
from loragrid.layout import Run
from loragrid.sections import Section, Seed, StageSettings
from loragrid.training.methods import TrainingConfig


class Seeds(Section):
    """The random seeds behind one value of the `seeds` axis."""

    adapter_init: Seed = Field(description="Seed of the adapter's initialisation.")
    data_order: Seed = Field(description="Seed of the order of training examples and of dropout.")
    mix: int = Field(ge=0, description="Seed of the choice of examples in the mix.")


class TrainSettings(StageSettings):
    """What the job of a training is told."""

    run: Run = Field(description="The run that is trained.")
    model: ModelSettings = Field(description="The number type of the base model, and how prompts are written for it.")
    config: TrainingConfig = Field(description="How it is trained.")
    seeds: Seeds = Field(description="The random seeds.")

    @field_validator("config", mode="wrap")
    @classmethod
    def _as_told(cls, told: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        """Keep values as they are given, also `1` where `1.0` is meant: states and manifests name a training by these values."""
        config = validate(told)
        if not isinstance(told, Mapping):
            return config
        return config.model_copy(update={key: value for key, value in told.items() if value == getattr(config, key)})

    @field_serializer("run")
    def _by_axis(self, run: Run) -> dict[str, Any]:
        return run._asdict()


LIBRARIES = ("torch", "transformers", "peft", "accelerate")
"""Packages whose versions decide on the result of a training."""

MEANS = "means"
"""Marks a field of a training on which its result does not depend."""


class TrainingJob(Section):
    """A training, with its files and means.

    What is not marked with `MEANS` decides on the result: it is a file, or a list of files, whose content is a part of the
    training's identity.
    """

    settings: TrainSettings = Field(description="The settings that decide on the result, besides the files.")
    folder: Annotated[str, MEANS] = Field(description="Where the result is written.")
    state: Annotated[str, MEANS] = Field(description="Folder of the states of unfinished trainings.")
    model: str = Field(description="Weights of the base model; their folder holds its other files.")
    tokenizer: str = Field(description="The base model's tokenizer.")
    train: str = Field(description="The mix's training examples.")
    validation: str = Field(description="The mix's validation examples.")
    tokens: list[str] = Field(description="The tokenised data sets that the mix draws from.")
    adapter: list[str] = Field([], description="Files of the adapter that is trained further, if any.")
    kept_in: Annotated[str | None, MEANS] = Field(
        None, description="Where the result is written instead, until the job of the run takes it to its folder."
    )
    other_files: Annotated[str | None, MEANS] = Field(
        None, description="Where the archive of files that no rule names is written, if it is needed."
    )
    threads: Annotated[int, MEANS] = Field(description="Threads of a process.")
    keeps_finished: Annotated[bool, MEANS] = Field(
        False, description="Whether the finished files stay in the state until Snakemake has recorded them."
    )
    checkpoint_minutes: Annotated[float, MEANS] = Field(description="How often the state is saved; 0: after every step.")
    trackers: Annotated[list[str], MEANS] = Field([], description="The trackers that follow the training.")

    @property
    def model_folder(self) -> Path:
        """Folder of the base model."""
        return Path(self.model).parent
