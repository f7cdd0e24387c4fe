"""Checks of scores."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from loragrid.layout import SCORE
from loragrid.planning.doubts.results import Doubt, doubt
from loragrid.records import Score, iterate_records
from loragrid.runtime.looking import looked_into
from loragrid.scoring.judge_replies import contradictions


def contradicting_replies(_: int) -> Iterator[Doubt]:
    """Scores from a judge's replies that give one name two values. Scores have no manifest, but today such a reply gives none."""
    for path in sorted(SCORE.find("scores")):
        found = looked_into(path, partial(_contradicting, path)) or []
        if found:
            yield doubt(path, f"{len(found)} replies, such as the one on {found[0]}")


def _contradicting(path: Path) -> list[str]:
    read = (row for row in iterate_records(path, Score) if row.detail and "{" in row.detail and row.value is not None)
    return [row.id for row in read if contradictions(row.detail or "")]
