"""The list of files that can go: its rows, how it is written and read, and its summary."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from loragrid.errors import UserError
from loragrid.layout import PRUNABLE, Files
from loragrid.runtime.commands import command
from loragrid.runtime.files import written_whole

ODD = "surrogateescape"
"""How file names that are no valid text are written and read."""


UNKNOWN = "unknown"
"""Stage of files that stay because no rule makes them."""


REASONS = 12
"""How many reasons the summary names, the reasons with the largest files first."""


class Verdict(NamedTuple):
    """The stage that a file or state belongs to, and why it can go. If the stage is `UNKNOWN`: why it is kept."""

    stage: str
    why: str


class Row(NamedTuple):
    """One line of the list."""

    path: str
    bytes: int
    stage: str
    why: str


def write_list(rows: Iterable[Row], configuration: str, kept: Iterable[str] = (), files: Files = PRUNABLE) -> None:
    """Write the list as a table, and the paths that can go as plain lines.

    Args:
        configuration: as `configuration_of` gives it.
        kept: the names of the configurations whose results stay.
        files: as `layout.PRUNABLE` names them.
    """
    rows, names = list(rows), "; ".join(kept)
    table, paths = files.outputs["table"], files.outputs["paths"]
    with written_whole(table) as temporary, open(temporary, "w", encoding="utf-8", errors=ODD, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Row._fields, "configuration", "kept_for"])
        writer.writerows([*row, configuration, names] for row in rows)
    with written_whole(paths) as temporary:
        temporary.write_text("".join(f"{row.path}\n" for row in rows if row.stage != UNKNOWN), "utf-8", ODD)


def read_list(configuration: str, files: Files = PRUNABLE) -> set[tuple[str, int]]:
    """Path and size of every file in the list.

    Raises:
        UserError: if there is no list, or the list is for another configuration, or unreadable.
    """
    again = f"Run '{command('prunable')}', read what it lists, then prune."
    table = files.outputs["table"]
    try:
        with open(table, encoding="utf-8", errors=ODD, newline="") as file:
            listed = list(csv.DictReader(file))
        if any(row["configuration"] != configuration for row in listed):
            raise UserError(f"{table}: this list was made for another configuration, so that nothing is removed. {again}")
        return {(row["path"], int(row["bytes"])) for row in listed}
    except FileNotFoundError:
        raise UserError(f"{table}: there is no such list, so that nothing is removed. {again}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{table}: expected the columns path, bytes and configuration, as prunable writes them. {again}"
        ) from None


def summary(rows: Iterable[Row], kept: Sequence[str] = (), files: Files = PRUNABLE) -> str:
    """Files and megabytes by stage and by reason, for the screen, and what to do next if any can go.

    Args:
        kept: the names of the configurations whose results stay.
        files: the list, as `layout.PRUNABLE` names it.
    """
    rows = list(rows)
    going = [row for row in rows if row.stage != UNKNOWN]
    if not going:
        text = "Nothing under results/ can go: these configurations ask for all that the workflow has made."
    else:
        by_stage = _counted(going, lambda row: row.stage)
        by_reason = _counted(going, lambda row: row.why)
        more = [f"and {len(by_reason) - REASONS} reasons more, in the list"] if len(by_reason) > REASONS else []
        reasons = ["because", *by_reason[:REASONS], *more]
        text = "\n".join([f"{'files':>9} {'MB':>11}", *by_stage, *reasons, *_counted(going, lambda _: "in all")])
    strange = len(rows) - len(going)
    text += f"\n{strange} files are not known to the workflow, or changed by somebody, and are kept." if strange else ""
    heading = ["What these configurations ask for stays:", *(f"    {name}" for name in kept)] if kept else []
    table, paths = files.outputs["table"], files.outputs["paths"]
    if going:
        next_ = [f"Read {table} (paths alone: {paths}); this removes them: {command('prune')}"]
    else:
        next_ = [f"{table} names them."] if strange else []
    return "\n".join([*heading, text, *next_])


def _counted(rows: Sequence[Row], key: Callable[[Row], str]) -> list[str]:
    files, sizes = Counter(map(key, rows)), Counter[str]()
    for row in rows:
        sizes[key(row)] += row.bytes
    return [f"{files[name]:>9,} {size / 1e6:>11,.1f}  {name}" for name, size in sizes.most_common()]
