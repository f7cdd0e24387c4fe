"""Removal of files that can go, and of folders that are empty then."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loragrid.errors import UserError
from loragrid.layout import STATE
from loragrid.planning.pruning.listing import Row
from loragrid.planning.pruning.tree import TRACES
from loragrid.runtime.commands import command
from loragrid.runtime.locks import is_held


def check_alone() -> None:
    """Make sure that no Snakemake works in this folder.

    Raises:
        UserError: if one works there, or was killed there.
    """
    if any(Path(".snakemake/locks").glob("*.lock")):
        raise UserError(
            f"Another Snakemake works in this folder, or was killed (then: {command('--unlock')}). "
            "Nothing is removed; prune when it has ended."
        )


def remove(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Remove files, and the folders that are empty then.

    Returns:
        The files that are gone, and a sentence for each file that could not be removed.
    """
    gone, problems, folders = [], [], set()
    # The log shows that a file is a result and not somebody's own. If this call is interrupted, the next call needs the log too.
    for row in sorted(rows, key=lambda row: row.path.startswith(TRACES)):
        path = Path(row.path)
        if row.path.startswith(f"{STATE}/") and is_held(path.with_suffix(".lock")):
            problems.append(f"{path}: a job uses it just now; kept.")
            continue
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; kept.")
            continue
        gone.append(row)
        folders.add(path.parent)
    for folder in folders:
        remove_empty(folder)
    return gone, problems


def remove_empty(folder: Path) -> None:
    """Remove a folder if it is empty, and the folders above it that are empty then."""
    # If some of its own folders are missing, Snakemake takes the folder for a folder of an old version.
    while len(folder.parts) > (2 if folder.parts[0] == ".snakemake" else 1):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent
