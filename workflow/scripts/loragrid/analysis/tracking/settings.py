"""What the job is told that sends scores to trackers."""

from __future__ import annotations

from pydantic import Field

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.sections import StageSettings


class TrackSettings(StageSettings):
    """What the job that sends scores to trackers is told."""

    trackers: list[str] = Field(description="The trackers that get the scores.")
    experiment: str | None = Field(description="Name of the experiment, if it has one.")
    metric: str = Field(description="The main metric, as `scorer/metric`.")
    task_metrics: dict[str, str] = Field(description="The main metrics of tasks with another one.")

    @property
    def main(self) -> MainMetrics:
        """The main metric of each task."""
        return MainMetrics(self.metric, self.task_metrics)
