"""Tests in several processes beside each other: which of them stay in one process, and what is made once for all processes."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

LONGEST = ("tests/cluster/", "tests/faults/", "tests/workflow/", "tests/unit/training/")
"""Tests that begin first, so that no process is left with a long one at the end."""
TOGETHER = {
    "tests/cluster/": "a Slurm",
    "tests/browser/": "a browser",
    "tests/workflow/test_served_models.py": "a server",
    "tests/unit/inference/engines/test_openai.py": "a server",
    "tests/unit/scoring/test_judge_on_a_server.py": "a server",
}
"""Tests of several files that stay in one process, by the start of their names, and what they share: it takes long to start."""


def in_order(item: pytest.Item) -> int:
    """Which tests come first; those of a kind stay in their order."""
    return next((place for place, start in enumerate(LONGEST) if item.nodeid.startswith(start)), len(LONGEST))


def scheduler(config: pytest.Config, log: Any) -> Any:
    """What gives tests to processes: those of a file to one, since they share what is made for their module."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            shared = (shared for start, shared in TOGETHER.items() if nodeid.startswith(start))
            return next(shared, super()._split_scope(nodeid))

    config.option.loadscopereorder = False
    return Scheduling(config, log)


def made_once(name: str, folders: pytest.TempPathFactory, make: Callable[[Path], object]) -> Path:
    """A folder that the first process fills that wants it, while others wait; none may change it."""
    own = folders.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).exists():
            shutil.rmtree(shared / f"{name}.partial", ignore_errors=True)
            make(shared / f"{name}.partial")
            (shared / f"{name}.partial").rename(shared / name)
    return shared / name
