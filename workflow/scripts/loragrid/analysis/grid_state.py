"""Which files of the grid exist, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Target = tuple[str, str]
"""A file that the grid asks for, and the log of the job that makes it."""


def grid_state(tiers: Mapping[str, Sequence[Target]], damaged: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """For each tier, how many files the grid asks for, how many are there and whole, and why the others are not.

    Args:
        damaged: what is wrong with files that are there and cannot be used.
    """
    state, damaged = [], damaged or {}
    for tier, targets in tiers.items():
        missing = [
            {"file": file, "reason": damaged.get(file) or failure(log), "log": log}
            for file, log in targets
            if file in damaged or not Path(file).exists()
        ]
        state.append({"tier": tier, "expected": len(targets), "present": len(targets) - len(missing), "missing": missing})
    return state


def failure(log: str) -> str:
    """What the log of a job says about its failure."""
    path = Path(log)
    if not path.exists():
        return "not started"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return errors[-1] if errors else f"not finished, or ended without a word; see {log}"
