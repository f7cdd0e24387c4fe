"""Exclusive locks between jobs. A lock is a file. It ends with the process that holds it, however the process ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout, lock_descriptor


def _lock(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    # On a file system without locks, filelock would use the existence of the file as the lock. That would outlast the process.
    return FileLock(path, fallback_to_soft=False, preserve_lock_file=True)


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock until the block ends, unless another job holds it. The block is told whether the lock is ours."""
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def held(path: Path, say_waiting: Callable[[], None], poll_s: float = 0.2) -> Iterator[None]:
    """Hold a lock until the block ends; wait for it if another job holds it.

    Args:
        say_waiting: called before the wait, if it has to wait.
    """
    lock = _lock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say_waiting()
        lock.acquire(poll_interval=poll_s)
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a job holds this lock at the moment."""
    if not path.exists():
        return False
    with held_if_free(path) as free:
        return not free


def lock_open_file(file: IO[Any]) -> None:
    """Wait until no other job has locked this very file, and lock it until it is closed."""
    lock_descriptor(file.fileno(), poll_interval=0.01)
