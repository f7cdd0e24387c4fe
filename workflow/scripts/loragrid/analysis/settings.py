"""What the jobs that analyse are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from loragrid.analysis.agreement import RatedSheets
from loragrid.analysis.contrasts.settings import Comparison
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.main_table.settings import MainTable
from loragrid.analysis.selection.settings import Selection
from loragrid.analysis.statistics.levels import Level
from loragrid.models.sources import AnyModelSource
from loragrid.scoring.scorer import ScorerFacts
from loragrid.sections import LATER, Section, StageSettings

FactsByScorer = Mapping[str, ScorerFacts]
"""Facts about scorers, by name."""


Price = dict[Literal["hour", "million_prompt_tokens", "million_new_tokens"], int | float]
"""The price of a model."""


class AnalysisSettings(Section):
    """What the tables and figures need to know about the configuration, besides the results."""

    metric: str = Field(description="The main metric, as `scorer/metric`.")
    task_metrics: Annotated[dict[str, str], LATER] = Field(default={}, description="The main metrics of tasks with another one.")
    prices: dict[str, Price] = Field(description="Prices of base models.")
    judge_prices: dict[str, Price] = Field(description="Prices of judges, by scorer.")
    kinds: dict[str, ScorerFacts] = Field(description="Facts about scorers, by name.")
    group_by: dict[str, list[str]] = Field(description="The keys of metadata by which results are grouped, by task.")
    levels: dict[str, dict[str, Level]] = Field(
        description="What the distance between ratings means, by scorer of human ratings and criterion."
    )
    sheets: dict[str, RatedSheets] = Field(
        default={}, exclude_if=lambda sheets: not sheets, description="The sheets of human ratings, by scorer."
    )
    bounds: dict[str, tuple[float, float]] = Field(
        default={}, description="The least and largest value of metrics that have such, as `scorer/metric`."
    )
    cluster_by: dict[str, dict[str, str]] = Field(
        default={}, description="The key of metadata that tells which examples are not independent, by task and sample type."
    )
    comparisons: list[Comparison] | None = Field(None, description="The contrasts that are asked for; null: the default ones.")
    smallest_difference: dict[str, float] = Field(default={}, description="What matters, by metric.")
    selection: Selection | None = Field(
        None, exclude_if=lambda selection: selection is None, description="Which ways are chosen on validation data, and by what."
    )
    table: Annotated[MainTable, LATER] = Field(MainTable(), description="What stands where in the table of the study.")
    config_of: Annotated[dict[str, str], LATER] = Field(
        default={}, description="The config that each setting of a sweep belongs to, by the setting's name."
    )
    mixed_tasks: Annotated[dict[str, list[str]], LATER] = Field(
        default={}, description="The tasks that a mix draws from besides its target, by mix."
    )

    @property
    def main(self) -> MainMetrics:
        """The main metric of each task."""
        return MainMetrics(self.metric, self.task_metrics)


class AnalyseSettings(StageSettings):
    """What the job that makes tables and figures is told."""

    settings: AnalysisSettings


class ReportContents(Section):
    """What the report shows."""

    title: str = Field(description="Heading of the report.")
    examples: int = Field(description="Questions of each data set whose answers a sample holds.")
    experiment: Annotated[str | None, LATER] = Field(None, description="Name of the experiment, if it has one.")
    embed: Annotated[Literal["all", "sample", "none"], LATER] = Field("all", description="Which answers the report holds.")
    scorers: Annotated[dict[str, dict[str, Any]], LATER] = Field(default={}, description="The settings of the scorers, by name.")
    answers_in: Annotated[Literal["page", "folder"], LATER] = Field(
        "page", description="Where they are: in the page, or in a folder beside it."
    )


class ReportSettings(StageSettings):
    """What the job that writes the report is told."""

    report: ReportContents
    settings: AnalysisSettings
    tiers: list[str] = Field(description="The inputs that are files of the grid, by tier.")


class PartialReportSettings(StageSettings):
    """What the job that reports on an unfinished grid is told."""

    report: ReportContents
    settings: AnalysisSettings
    tiers: dict[str, list[tuple[str, str]]] = Field(description="Every file of the grid, and the log of its job, by tier.")
    files: dict[str, str] = Field(description="Where each table and figure and the report are written, by its name in `layout`.")


class SummarySettings(StageSettings):
    """What the job that shows an unfinished grid in the terminal is told."""

    report: ReportContents
    settings: AnalysisSettings
    tiers: dict[str, list[tuple[str, str]]] = Field(description="Every file of the grid, and the log of its job, by tier.")
    tables: str = Field(description="The folder of the tables, for what the terminal does not show.")


class CardSettings(StageSettings):
    """What a job that writes a model card is told."""

    source: AnyModelSource = Field(description="Where the base model comes from.")
    kinds: dict[str, ScorerFacts] = Field(description="Facts about the run's scorers, by name.")
    experiment: str | None = Field(None, description="Name of the experiment that asks for the scores, if it has one.")
