"""The existing files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from loragrid.layout import BENCHMARKS, LOGS

TRACES = (f"{LOGS}/", f"{BENCHMARKS}/")
"""Where jobs leave traces of their results."""


class File(NamedTuple):
    """An existing file."""

    path: str
    bytes: int
    changed: float
    """Seconds since the epoch."""
    is_link: bool = False


def walk(folder: str) -> Iterator[File]:
    """All files in a folder. Links are listed as links, and never followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
        else:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield File(PurePosixPath(entry.path).as_posix(), status.st_size, status.st_mtime, entry.is_symlink())
