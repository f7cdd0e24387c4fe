"""What a job is told that writes a log for Inspect."""

from __future__ import annotations

from pydantic import Field

from loragrid.scoring.scorer import ScorerFacts
from loragrid.sections import StageSettings


class LogSettings(StageSettings):
    """What a job that writes a log is told."""

    date: str = Field(description="The day that the log tells as that on which it was created: results do not know their own.")
    metric: str = Field(description="The main metric of the task, as `scorer/metric`.")
    kinds: dict[str, ScorerFacts] = Field(description="Facts about the scorers of the evaluation, by name.")
    label_scorers: list[str] = Field(description="Those of them that read a label in an answer.")
