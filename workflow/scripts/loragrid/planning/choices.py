"""What choosing on validation examples costs."""

from __future__ import annotations

from loragrid.grid.runs import Grid


def describe_choices(grid: Grid) -> list[str]:
    """Lines of the plan: how many predictions of the grid are there to choose by."""
    selection = grid.config.selection
    if selection is None:
        return []
    what = f"to choose {' and '.join(selection.choose)} by {' and by '.join(selection.by)}"
    if not grid.validated:
        return ["", f"Nothing is predicted {what}: the trainings tell."]
    return ["", f"{len(grid.validated):,} of the predictions are of validation examples, {what}."]
