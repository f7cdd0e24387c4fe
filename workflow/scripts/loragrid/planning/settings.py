"""What the job that plans a grid is told."""

from __future__ import annotations

from pydantic import Field

from loragrid.sections import Section, StageSettings


class AskedResources(Section):
    """What a job asks for."""

    cores: int
    mem_mb: int | float | None = Field(description="Null if it is not a single number.")
    gpu: int
    jobs_per_process: int = Field(1, description="For how many jobs a process works; 0: for all that are ready.")


class PlannedRule(Section):
    """How the jobs of a rule are recognised, and what they ask for."""

    pattern: str = Field(description="Regular expression of the first output.")
    decider: str = Field(description="The wildcard that decides on what a job asks for; may be empty.")
    asked: dict[str, AskedResources] = Field(description="By the value of that wildcard, and under '' for all other values.")

    def asked_by(self, value: str | None) -> AskedResources:
        """What a job asks for, given the value of the wildcard that decides."""
        return self.asked.get(value or "", self.asked[""])


class PlanSettings(StageSettings):
    """What the job that plans a grid is told."""

    snakefile: str
    rerun_triggers: list[str]
    jobs: int | None = Field(description="How many jobs run at a time on a cluster; null if they run on this machine.")
    cores: int | None = Field(description="Cores of this machine; null on a cluster.")
    gpus: int | None = Field(description="How many jobs can have a GPU at a time, if that is limited.")
    rules: dict[str, PlannedRule]


class RuleFiles(Section):
    """How the files of a rule are recognised: patterns with `{wildcards}`, and regular expressions that match the same paths."""

    stage: str = Field(description="Name of the rule.")
    jobs_of: str = Field(description="Name of the rule whose jobs tell which files are of use.")
    is_named: bool = Field(description="Whether these are the files of experiments with a name, in a folder of that name.")
    files: list[tuple[str, str]]
    folders: list[tuple[str, str]] = Field(description="Folders that its jobs fill with more files than their outputs.")
    logs: list[tuple[str, str]] = Field(description="Logs and benchmarks, which every one of its jobs leaves.")


class PruneSettings(StageSettings):
    """What the jobs are told that list or remove results of no use."""

    rules: list[RuleFiles]
    config_files: list[str] = Field(description="Files of the configuration, as they are laid over each other.")
