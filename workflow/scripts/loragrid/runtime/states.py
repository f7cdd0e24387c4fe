"""Unfinished or costly work under `results/.state`, and what it belongs to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_state(state: Path, whose: Mapping[str, Any], again: bool = False) -> None:
    """Write a file beside a state that says what the state belongs to. The state's name is a hash and does not tell.

    Args:
        state: a journal, or a folder.
        whose: `result`, the file that a job writes in the end, or `settings` of the scorer whose values are kept.
        again: replace what was said before.
    """
    path = state.with_suffix(".json")
    if again or not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Several jobs may write the same at the same time.
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        temporary.write_text(json.dumps(whose, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(temporary, path)


def whose_state(state: Path) -> dict[str, Any]:
    """What `describe_state` wrote; empty if there is nothing, or nothing readable."""
    try:
        whose = json.loads(state.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return whose if isinstance(whose, dict) else {}
