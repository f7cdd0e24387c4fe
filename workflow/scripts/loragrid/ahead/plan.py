"""The jobs of the Snakemake run that a process belongs to, as its main process has planned them.

The main process writes the list when it starts jobs, and holds a lock on it until it ends. Jobs find it by a variable of the
environment. Where they do not, nothing is done ahead.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from loragrid.ahead.told import Told
from loragrid.layout import AHEAD
from loragrid.runtime.files import written_whole
from loragrid.runtime.locks import held_if_free, is_held

PLAN = "LORAGRID_PLAN"
"""Environment variable with the path of the list."""

GROUP = "LORAGRID_GROUP"
"""Environment variable with the first outputs of the jobs that share a submission with a job, as a list in JSON."""

WORKED_AHEAD = frozenset({"train", "train_full", "check", "predict", "measure_likelihoods", "probe"})
"""The rules whose jobs work with a base model, and do each other's work."""

_NAME = "plan-{}.jsonl"


class _Head(NamedTuple):
    """The first line of the list."""

    host: str
    outdated: dict[str, int]
    """When the outputs of planned jobs changed last that were there already, in nanoseconds."""
    limited: list[str]
    """The resources that are limited for all jobs together."""


class Plan:
    """The planned jobs, as far as they concern somebody. Jobs with work that others may do are known by what they are told.

    Args:
        path: of the list.
        scorer: whose jobs are wanted.
        base_model: whose jobs are wanted.
    """

    def __init__(self, path: Path, scorer: str | None = None, base_model: str | None = None) -> None:
        self.path = path
        with path.open(encoding="utf-8") as lines:
            self.head = _Head(*json.loads(next(lines, "")))
            # To look for a name takes a tenth of the time that it takes to read the line.
            name = json.dumps({"scorer": scorer} if scorer else {"base_model": base_model})[1:-1]
            self.jobs = [
                Told(*json.loads(line)) for line in lines if name in line and (scorer is None) == (line[:8] != '["score"')
            ]

    @property
    def name(self) -> str:
        """What tells this run of Snakemake from others."""
        return self.path.name

    def is_over(self) -> bool:
        """Whether Snakemake has ended, as far as this machine can tell."""
        return not self.path.exists() or (self.head.host == platform.node() and not is_held(_lock(self.path)))

    def is_made(self, path: str) -> bool:
        """Whether a file is there, as it is to be after this run of Snakemake."""
        try:
            return Path(path).stat().st_mtime_ns != self.head.outdated.get(path)
        except OSError:
            return False

    def is_done(self, job: Told) -> bool:
        """Whether all outputs of a job are there."""
        return all(map(self.is_made, job.output.values()))


def find_plan(scorer: str | None = None, base_model: str | None = None) -> Plan | None:
    """The plan of the run that this process belongs to; None if there is none, or none that can be read.

    Args:
        scorer, base_model: as in `Plan`.
    """
    if not (path := os.environ.get(PLAN)):
        return None
    try:
        return Plan(Path(path), scorer, base_model)
    except (OSError, ValueError, TypeError):
        return None


def fellows() -> set[str]:
    """The first outputs of the jobs that share a submission with this one."""
    try:
        return set(json.loads(os.environ.get(GROUP, "[]")))
    except (ValueError, TypeError):
        return set()


@contextmanager
def published(jobs: Iterable[Told], outputs: Iterable[str], limited: Iterable[str]) -> Iterator[None]:
    """Have the jobs that this process starts find a list of planned jobs, until the block ends.

    Lists of processes that have been killed are removed.

    Args:
        jobs: those with work that others may do.
        outputs: of all jobs that are to run.
        limited: names of the resources that are limited for all jobs together.
    """
    folder = Path(AHEAD)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_left(folder)
    path = folder / _NAME.format(token_hex(8))
    head = _Head(platform.node(), dict(_changed(outputs)), sorted(limited))
    with held_if_free(_lock(path)):
        with written_whole(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in (head, *jobs)), encoding="utf-8")
        os.environ[PLAN] = str(path)
        try:
            yield
        finally:
            os.environ.pop(PLAN, None)
            path.unlink(missing_ok=True)
            _lock(path).unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    left = {path.with_suffix(".jsonl") for path in folder.glob("plan-*")}
    for path in left:
        if not is_held(_lock(path)):
            for one in (path, _lock(path)):
                one.unlink(missing_ok=True)


def _lock(path: Path) -> Path:
    return path.with_suffix(".lock")


def _changed(outputs: Iterable[str]) -> Iterator[tuple[str, int]]:
    for path in outputs:
        with suppress(OSError):
            yield path, Path(path).stat().st_mtime_ns


def may_follow(own: Told, other: Told, limited: Iterable[str] = ()) -> bool:
    """Whether a process that was started for one job may do the work of another: with the same means, and the same base model.

    Args:
        limited: resources of which the other may not want more.
    """
    same = ("gpu", "gpu_model", "jobs_per_gpu", "accelerate")
    return (
        own.base_model == other.wildcards.get("base_model")
        and own.threads == other.threads
        and own.environment == other.environment
        and all(own.resources.get(name) == other.resources.get(name) for name in same)
        and all(_amount(other.resources, name) <= _amount(own.resources, name) for name in limited)
    )


def _amount(resources: Mapping[str, object], name: str) -> float:
    found = resources.get(name, 0)
    return float(found) if isinstance(found, int | float) else 0.0
