"""What the job is told that writes a first experiment."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from loragrid.errors import UserError
from loragrid.sections import Section, StageSettings


class Asked(Section):
    """What `snakemake new` is told by `--config`."""

    name: str | None = Field(None, description="Name of the experiment, and of its task and source.")
    data: str | None = Field(None, description="File with its examples.")

    @field_validator("name", "data", mode="before")
    @classmethod
    def _is_text(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool | list | dict):
            raise UserError(f"new: Snakemake reads the {info.field_name} as {value!r}, not as text; choose another one.")
        return value


class NewSettings(StageSettings):
    """What the job is told that writes a first experiment."""

    asked: Asked
    config_files: list[str] = Field(description="Files of the configuration, as they are laid over each other.")
