"""Snakemake's lock on a folder: whether a living Snakemake holds it, and what to do about one that a killed Snakemake left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from loragrid.runtime.commands import command


def locked_sentence() -> str:
    """Who locks the current folder, and what a user can do about it."""
    others = list(_others_here(Path.cwd()))
    if others:
        return (
            f"Another Snakemake works in this folder: {'; '.join(others)}. "
            "Wait until it has ended, or stop it (Ctrl-C, or kill with its number); then type your command again."
        )
    return (
        "This folder is locked, but no Snakemake runs in it on this machine: the last one was killed. If none runs in it on "
        f"another machine either, unlock it, which loses nothing, then type your command again. To unlock: {command('--unlock')}"
    )


def _others_here(folder: Path) -> Iterator[str]:
    """Snakemakes of this machine that run in a folder; not this process, nor those that it is a job of."""
    import psutil  # type: ignore[import-untyped]

    me = psutil.Process()
    mine = {me.pid, *(parent.pid for parent in me.parents())}
    for process in psutil.process_iter():
        # It may have ended, or may be somebody else's whose folder nobody else sees.
        with suppress(psutil.Error, OSError):
            if process.pid in mine:
                continue
            called = process.cmdline()
            if _is_snakemake(called) and Path(process.cwd()) == folder:
                since = time.strftime("%d %b %H:%M", time.localtime(process.create_time()))
                yield f"process {process.pid} of {process.username()}, since {since}"


def _is_snakemake(called: Sequence[str]) -> bool:
    """Whether a process was started as Snakemake, by its script or as a module of Python."""
    return any(Path(part).name == "snakemake" for part in called[:3])
