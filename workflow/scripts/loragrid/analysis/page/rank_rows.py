"""Ranks over tasks, for the page."""

from __future__ import annotations

import pandas as pd

from loragrid.analysis.page.main_rows import way_labels
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.analysis.ranks import BY_ANSWERS

WORDS = {
    "rank": Words("rank", "integer", "By the figures as they are; 1 is the best."),
    "ranks": Words(
        "may be", "text", "The ranks that a way may have: they hold together at 95 %, for questions like these of these tasks."
    ),
    "ways": Words("of", "integer", "So many ways are ranked."),
    "mean": Words("mean over tasks", "number", "Each task counts alike; only where all tasks have the same main metric.", 3),
    "beaten": Words(
        "answers beaten", "percent", "The share of other ways whose answer to the same question is worse; ties count half.", 1
    ),
    "tasks": Words("over tasks", "text", "The tasks that all ways of this ranking have results on.", None, True),
    "by": Words(
        "ranked by", "text", "mean: of the common metric; answers: the share of answers beaten, as the tasks' metrics differ."
    ),
}

FIRST = ["rank", "ranks", "label", "base_model", "sample_type", "tasks", "mean", "beaten", "n", "seeds", "ways", "by"]


def ranks_table(ranks: pd.DataFrame) -> PageTable:
    """The table `ranks`.

    Args:
        ranks: as `tables/ranks.csv`.
    """
    rows = ranks.assign(task="", trained_task=ranks["config"].where(ranks["config"].isna(), ""))
    ranges = [
        "" if pd.isna(best) else f"{best}" if best == worst else f"{best} to {worst}"
        for best, worst in zip(ranks["best_rank"], ranks["worst_rank"], strict=True)
    ]
    labelled = rows.assign(label=way_labels(rows.assign(way=rows["way"].where(rows["way"] != "", "run"))), ranks=ranges)
    note = "No mean is formed over tasks of different metrics; there, ways are ranked by how many answers theirs beat."
    return page_table(
        "ranks",
        "Ranks over tasks",
        labelled.drop(columns=["task", "trained_task"]),
        FIRST,
        note if (ranks["by"] == BY_ANSWERS).any() else None,
        WORDS,
        {"mean": ("low", "high"), "beaten": ("beaten_low", "beaten_high")},
    )
