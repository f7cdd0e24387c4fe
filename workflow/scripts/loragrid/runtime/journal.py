"""Finished answers of a job, kept on disk so that they survive its death."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from loragrid.runtime.locks import lock_open_file


def read_journal(path: Path) -> dict[str, Any]:
    """All finished entries by key. A torn last line is cut off."""
    if not path.exists():
        return {}
    with open(path, "r+b") as file:
        _cut_torn_end(file)
        file.seek(0)
        content = file.read()
    found: dict[str, Any] = {}
    for line in content.splitlines():
        found |= json.loads(line)
    return found


def append_to_journal(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries that belong together. Whatever happens next, either all of them survive or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        # Another job may have died and left an unfinished line, which would make one broken line with this one.
        _cut_torn_end(file)
        file.write(json.dumps(entries, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _cut_torn_end(file: IO[bytes]) -> None:
    """Lock a journal until it is closed, and cut off a torn last line."""
    # Several jobs may share a journal. A line that another job is still writing only looks torn.
    lock_open_file(file)
    if size := file.seek(0, os.SEEK_END):
        file.seek(size - 1)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
