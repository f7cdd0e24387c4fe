"""Notes what a job computes: lines of JSON in the file that `FAULT_SPY` names. Stands beside the scripts of a project under test, which import it first.

Each line is in the file before the job goes on. What a job has kept is noted after it is kept, so that a job that is killed in between has
noted too little, never too much.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

current = {"training": ""}
"""The name of the training that runs in this process."""


def note(event: str, **values: Any) -> None:
    """Add a line."""
    line = json.dumps({"pid": os.getpid(), "at": time.time(), "event": event, **values}) + "\n"
    file = os.open(os.environ["FAULT_SPY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


def started(rule: str, log: str) -> None:
    """Note that a job has started."""
    note("started", rule=rule, log=log)


def watch_steps(loop: ModuleType) -> None:
    """Note each step of a training, and each that is saved."""
    train, seed_step, save = loop.train, loop.seed_step, loop.save_checkpoint

    def named(*arguments: Any, **more: Any) -> Any:
        checkpoints = next(value for value in (*arguments, *more.values()) if isinstance(value, loop.Checkpoints))
        current["training"] = checkpoints.folder.name
        return train(*arguments, **more)

    def noted(seed: int, step: int, process: int) -> None:
        note("step", work=current["training"], step=step)
        current["step"] = step
        seed_step(seed, step, process)

    def saved(*arguments: Any, **more: Any) -> Any:
        value = save(*arguments, **more)
        note("saved", work=current["training"], step=current["step"])
        return value

    loop.train, loop.seed_step, loop.save_checkpoint = named, noted, saved


def watch_adapters(results: ModuleType) -> None:
    """Note each training that is finished: its files are where they belong, or kept for the job that they belong to."""
    write = results.write_result

    def noted(job: Any, *arguments: Any, **more: Any) -> None:
        write(job, *arguments, **more)
        note("trained", work=current["training"], result=job.folder)

    results.write_result = noted


def watch_answers(protocol: ModuleType) -> None:
    """Note each answer that is kept."""
    append = protocol.append_to_journal

    def noted(path: Any, entries: Any) -> None:
        append(path, entries)
        note("answered", work=path.stem, keys=list(entries))

    protocol.append_to_journal = noted


def watch_values(store: ModuleType) -> None:
    """Note how many values of a scorer are kept."""
    append = store.append_to_journal

    def noted(path: Any, entries: Any) -> None:
        append(path, entries)
        note("scored", work=path.stem, keys=list(entries))

    store.append_to_journal = noted


def watch_checks(checks: ModuleType) -> None:
    """Note each model that is checked."""
    write = checks.write_json

    def noted(path: Any, value: Any) -> None:
        write(path, value)
        note("checked", work=str(path))

    checks.write_json = noted


WATCHED: dict[str, Callable[[ModuleType], None]] = {
    "loragrid.training.loop": watch_steps,
    "loragrid.training.results": watch_adapters,
    "loragrid.inference.protocol": watch_answers,
    "loragrid.scoring.store": watch_values,
    "loragrid.inference.checks": watch_checks,
}


class Watching(MetaPathFinder):
    """Has a module watched as soon as it is imported. It is not imported for that: a job may end before it needs to."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in WATCHED or (spec := PathFinder.find_spec(name, path, target)) is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_watch(module: ModuleType) -> None:
            execute(module)
            WATCHED[name](module)

        spec.loader.exec_module = execute_and_watch
        return spec


assert not any(name in sys.modules for name in WATCHED)
sys.meta_path.insert(0, Watching())
