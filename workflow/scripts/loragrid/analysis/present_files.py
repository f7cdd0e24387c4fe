"""What can be made of the files of an unfinished grid: of those that are there and whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from loragrid.analysis.grid_state import Target
from loragrid.errors import DamagedError
from loragrid.runtime.job import log

T = TypeVar("T")

Damaged = Mapping[str, str]
"""What is wrong with files that are there and cannot be used."""

MOST_DAMAGED = 20
"""How many times damaged files are left out. After each time all others are read again."""


def without_damaged(tiers: Mapping[str, Sequence[Target]], make: Callable[[Damaged], T]) -> T:
    """What is made of the existing files of the grid, without those that turn out to be damaged.

    Args:
        make: reads all files but those that it is given.

    Raises:
        DamagedError: if files are still damaged after many times.
    """
    logs = {file: log_file for targets in tiers.values() for file, log_file in targets}
    damaged: dict[str, str] = {}
    for _ in range(MOST_DAMAGED):
        try:
            return make(damaged)
        except DamagedError as error:
            # Who reads a file may look into the manifest beside it, which the same job has made.
            beside = [file for file in logs if logs[file] == logs.get(error.path)] if error.path in damaged else [error.path]
            if not logs.keys() & set(beside) - damaged.keys():
                raise
            damaged |= dict.fromkeys(beside, str(error))
            log.warning("left out: %s", error)
    return make(damaged)


def present(targets: Sequence[Target], ending: str, damaged: Damaged) -> list[str]:
    """The existing files of a tier with a certain ending, without the damaged ones."""
    paths = [file for file, _ in targets if file.endswith(ending) and file not in damaged]
    return [file for file in paths if Path(file).exists()]
