"""Where the answers of the report are. That follows from the configuration alone: Snakemake must know the files beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from loragrid.grid.runs import Grid

MOST_IN_PAGE = 500
"""Of how many models and data sets a page opens quickly that holds all answers."""


def answers_in(grid: Grid) -> Literal["page", "folder"]:
    """Where the answers of the report are: where the configuration says, or else where the size of the grid suggests."""
    asked = len(grid.evaluations) + len(grid.external) + len(grid.trivial)
    is_large = grid.config.report.embed == "all" and asked > MOST_IN_PAGE
    return grid.config.report.answers_in or ("folder" if is_large else "page")


def answers_beside(grid: Grid) -> list[Mapping[str, str]]:
    """The wildcards of the files with answers beside the report: one for each task, or none."""
    if grid.config.report.embed == "none" or answers_in(grid) == "page":
        return []
    evaluations = [*grid.evaluations, *grid.external, *grid.trivial]
    return [{"task": task} for task in dict.fromkeys(evaluation.task for evaluation in evaluations)]
