"""The list of results in doubt, and its summary."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from loragrid.layout import DOUBTFUL
from loragrid.planning.doubts.checks import Row
from loragrid.runtime.files import written_whole


def write_list(rows: Sequence[Row], table: str | Path = DOUBTFUL.outputs["table"]) -> None:
    """Write the list as a table."""
    with written_whole(table) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def summary(rows: Sequence[Row], table: str | Path = DOUBTFUL.outputs["table"]) -> str:
    """How many files are in doubt and why, for the screen."""
    if not rows:
        return "No result is in doubt: none shows a fault that has been mended since it was made."
    counts = Counter((row.check, row.what) for row in rows)
    lines = [f"{number:>9,}  {check}: {what}" for (check, what), number in counts.items()]
    return "\n".join(
        [
            "    files  these may be wrong, if their texts are not meant so:",
            *lines,
            f"Read {table}. Delete a file there to have it made again, with all that depends on it.",
        ]
    )
