"""Answers that a job has finished, kept so that its death loses none of them."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_journal(path: Path) -> dict[str, Any]:
    """All finished entries by key; a last line that was not written to its end is cut off."""
    if not path.exists():
        return {}
    with open(path, "r+b") as file:
        # Several jobs may share a journal; what one of them is writing just now is no end that is missing.
        fcntl.flock(file, fcntl.LOCK_EX)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
    found: dict[str, Any] = {}
    for line in content[:whole].splitlines():
        found |= json.loads(line)
    return found


def append_to_journal(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries that belong together: all of them survive whatever happens next, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(entries, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
