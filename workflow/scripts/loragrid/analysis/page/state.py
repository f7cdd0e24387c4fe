"""The grid as the page shows it: what is missing, why, and the last words of the jobs that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words

LAST_LINES = 12
"""How much of a log is shown: what a library says last, and where."""

LAST_BYTES = 20_000

MOST_REASONS = 40
"""How many reasons are told in prose; the table has all."""


def missing_table(state: Sequence[Mapping[str, Any]]) -> PageTable:
    """The files that are missing.

    Args:
        state: as `grid_state` gives it.
    """
    rows = [{"tier": tier["tier"], **one} for tier in state for one in tier["missing"]]
    table = pd.DataFrame(rows, columns=["tier", "file", "reason", "log"])
    words = {
        "tier": Words("tier", tells_apart=True),
        "file": Words("file", "code"),
        "reason": Words("why"),
        "log": Words("log", "code"),
    }
    return page_table("grid", "Missing files", table, ["tier", "file", "reason"], words=words)


def reasons(state: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is missing, by tier and reason, with the end of the first log that there is."""
    found = []
    for tier in state:
        by_reason = sorted(tier["missing"], key=lambda one: one["reason"])
        for reason, files in groupby(by_reason, key=lambda one: one["reason"]):
            own = list(files)
            log = next((one["log"] for one in own if one["log"] and Path(one["log"]).is_file()), None)
            found.append(
                {
                    "tier": tier["tier"],
                    "reason": reason,
                    "files": [one["file"] for one in own],
                    "log": log,
                    "last_lines": last_lines(log) if log else "",
                }
            )
    return found[:MOST_REASONS]


def last_lines(log: str | Path) -> str:
    """The end of a log."""
    with open(log, "rb") as file:
        file.seek(0, 2)
        file.seek(max(file.tell() - LAST_BYTES, 0))
        text = file.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-LAST_LINES:])
