"""What the job is told that writes a first experiment."""

from __future__ import annotations

from pydantic import Field

from loragrid.sections import Section, StageSettings


class Asked(Section):
    """What `snakemake new` is told by `--config`."""

    name: str | None = Field(None, description="Name of the experiment, and of its task and source.")
    data: str | None = Field(None, description="File with its examples.")


class NewSettings(StageSettings):
    """What the job is told that writes a first experiment."""

    asked: Asked
    config_files: list[str] = Field(description="Files of the configuration, as they are laid over each other.")
