"""Unfinished or costly work under `results/.state`: what it belongs to, and what becomes of it if it is damaged."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loragrid.runtime.files import written_whole
from loragrid.runtime.job import log

DAMAGED = ".damaged"
"""How the names of damaged states end that were set aside."""


def named_aside(state: Path) -> Path:
    """Where a damaged state is kept."""
    return state.with_name(f"{state.name}{DAMAGED}")


def set_aside(state: Path, why: str) -> None:
    """Rename a state that nobody can go on from, so that the work begins without it. What was set aside before is removed.

    Args:
        state: a file or a folder, readable or not.
        why: what is wrong with it, for the log.
    """
    aside = named_aside(state)
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink(missing_ok=True)
    # In another process, somebody else may have been first.
    with suppress(FileNotFoundError):
        os.replace(state, aside)
    log.warning("%s is damaged (%s) and set aside as %s; the work goes on from what is whole", state, why, aside.name)


def describe_state(state: Path, whose: Mapping[str, Any], again: bool = False) -> None:
    """Write a file beside a state that says what the state belongs to. The state's name is a hash and does not tell.

    Args:
        state: a journal, or a folder.
        whose: `result`, the file that a job writes in the end, or `settings` of the scorer whose values are kept.
        again: replace what was said before.
    """
    path = state.with_suffix(".json")
    if again or not whose_state(state):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            set_aside(path, "a folder instead of a description")
        # Several jobs may write the same at the same time.
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(whose, ensure_ascii=False) + "\n", encoding="utf-8")


def whose_state(state: Path) -> dict[str, Any]:
    """What `describe_state` wrote; empty if there is nothing, or nothing readable."""
    try:
        whose = json.loads(state.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return whose if isinstance(whose, dict) else {}
