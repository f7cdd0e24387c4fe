"""The section of the configuration about the table of the study."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, model_validator

from loragrid.analysis.columns import Varied
from loragrid.sections import Section

Axis = Literal["base_model", "task", "sample_type", "trained_task", Varied, "metric"]
"""What rows or columns may stand for: the columns of `tables/ways.csv`. There is no seed: a way has all of its seeds."""


class MainTable(Section):
    """What stands where in the table of the study (`tables/main.md`)."""

    rows: list[Axis] | None = Field(
        None,
        description="Axes of the rows. By default: what runs are trained on and how, and how models are asked, as far as it "
        "varies and is no column.",
    )
    columns: list[Axis] | None = Field(
        None,
        description="Axes of the columns. By default: `task` and `sample_type`, as far as they vary and are no row; else "
        "`metric`. What varies and is neither row nor column divides the table into parts.",
    )
    metrics: list[str] | None = Field(
        None,
        min_length=1,
        description="Metrics that are shown, as `scorer/metric`. By default: of each task its main metric, or the first metric "
        "of data sets without it; where there is only one data set, all of its metrics.",
    )

    @model_validator(mode="after")
    def _nothing_stands_twice(self) -> Self:
        named = [*(self.rows or ()), *(self.columns or ())]
        if twice := [axis for axis, times in Counter(named).items() if times > 1]:
            raise ValueError(f"'{twice[0]}' stands twice among rows and columns; an axis is in one place")
        if again := [metric for metric, times in Counter(self.metrics or ()).items() if times > 1]:
            raise ValueError(f"'{again[0]}' stands twice among metrics")
        return self
