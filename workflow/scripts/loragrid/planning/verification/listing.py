"""All files of a grid, read and compared; the list of those that are damaged, and its summary."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

from loragrid import layout
from loragrid.errors import DamagedError
from loragrid.grid.jobs.wanted import usable_jobs
from loragrid.grid.runs import Grid
from loragrid.layout import VERIFY
from loragrid.planning.verification.results import CHECKS, examples_of, readable
from loragrid.planning.verification.states import refuse_damaged_state, states
from loragrid.runtime.files import written_whole


class Damage(NamedTuple):
    """A line of the list: a file that is not as its job left it."""

    file: str
    what: str
    """What was found there, and what was expected."""
    delete: str
    """The file to delete. The next snakemake makes it again, with all that depends on it."""


class Verified(NamedTuple):
    """What was found."""

    damages: list[Damage]
    files: int
    """How many files were read."""
    hashed: int
    """How many of them were compared with a hash."""


NOT_READ = (
    layout.HUMAN_SHEET,
    layout.PARTIAL_REPORT,
    layout.PARTIAL_REPORT_ANSWERS,
    layout.PLAN,
    layout.PRUNABLE,
    layout.PRUNE,
    layout.DOUBTFUL,
    layout.VERIFY,
)
"""Sheets, which people fill and must not lose; and what is written anew whenever somebody asks for it."""


def existing_files(grid: Grid) -> Iterator[tuple[Path, Callable[[], bool]]]:
    """The files that a grid's jobs have left, finished ones before unfinished ones, each with its check."""
    jobs_of = usable_jobs(grid)
    for rule, files in layout.RULES.items():
        if files in NOT_READ:
            continue
        # Rules without wildcards have one job.
        jobs = jobs_of.get(rule, [{}] if not any("{" in pattern for pattern in files.outputs.values()) else [])
        for output, pattern in grid.own(files).outputs.items():
            check = CHECKS.get((rule, output), readable)
            for path, job in {Path(pattern.format_map(job)): job for job in jobs}.items():
                if path.exists() or path.is_symlink():
                    yield path, partial(check, grid, job, path)
    for path in states():
        yield path, partial(refuse_damaged_state, path)


def verify(grid: Grid, screen: TextIO) -> Verified:
    """Read everything that a grid has made, and compare what belongs together. Files that are missing are no damage.

    Args:
        screen: where progress is shown.
    """
    from tqdm import tqdm

    # What was read for an earlier list may be damaged by now.
    examples_of.cache_clear()
    damages: dict[Damage, None] = {}
    files = list(existing_files(grid))
    hashed = 0
    for path, check in tqdm(files, desc="verifying", unit="file", mininterval=5, file=screen):
        try:
            hashed += check()
        except DamagedError as error:
            damages[Damage(error.path, error.what, error.delete)] = None
        except Exception as error:
            # Damaged in a way that no check foresees.
            damages[Damage(str(path), f"{type(error).__name__}: {error}", str(path))] = None
    return Verified(list(damages), len(files), hashed)


def write_list(damages: Sequence[Damage], table: str | Path = VERIFY.outputs["table"]) -> None:
    """Write the list as a table."""
    with written_whole(table) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Damage._fields)
        writer.writerows(damages)


SHOWN = 20
"""So many damaged files are named on the screen."""


def summary(found: Verified, table: str | Path = VERIFY.outputs["table"]) -> str:
    """What was found, for the screen."""
    compared = f"{found.hashed:,} of them have the hash that was written down when they were made"
    if not found.damages:
        return f"All {found.files:,} files are whole; {compared}."
    lines = [f"{damage.file}: {damage.what}. Delete {damage.delete}" for damage in found.damages[:SHOWN]]
    more = len(found.damages) - len(lines)
    return "\n".join(
        [
            f"{len(found.damages):,} of {found.files:,} files are damaged ({table} lists them with what to delete):",
            *lines,
            *([f"… and {more:,} more"] if more else []),
            "When they are deleted, the next snakemake makes them again, and what depends on them.",
        ]
    )
