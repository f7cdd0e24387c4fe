"""What the job of a training is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
