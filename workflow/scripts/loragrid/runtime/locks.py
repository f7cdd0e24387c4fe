"""Exclusive locks between jobs. A lock is a file. It ends with the process that holds it, however the process ends."""

from __future__ import annotations

import errno
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout, lock_descriptor

from loragrid.errors import StoppedError
from loragrid.runtime.files import fingerprint
from loragrid.runtime.interruptions import postponed_signals
from loragrid.runtime.job import log

WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""How a file system says that it has no locks. Some network file systems have none, or only if they are mounted so."""


def _lock(path: Path, on_acquired: Callable[[int], None] | None = None) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    # On a file system without locks, filelock would use the existence of the file as the lock. That would outlast the process.
    return FileLock(path, fallback_to_soft=False, preserve_lock_file=True, on_acquired=on_acquired)


def _sign(descriptor: int) -> None:
    """Write into a lock's file who holds it, for those who wait."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}, since {since}".encode(), 0)


def holder_of(path: Path) -> str:
    """Who holds a lock, and since when, for a log line."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") or "it does not say who it is"
    except OSError:
        return "it has just ended"


@contextmanager
def held_if_free(path: Path) -> Iterator[bool]:
    """Hold a lock until the block ends, unless another job holds it. The block is told whether the lock is ours."""
    lock = _lock(path, _sign)
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

    On a file system without locks the block runs without one, and the log says so.

    Args:
        say_waiting: called before the wait, if it has to wait. The log then also says who holds the lock, and since when.

    Raises:
        StoppedError: if a signal asks this job to end while it waits.
    """
    lock = _lock(path, _sign)
    try:
        _acquire(lock, say_waiting, poll_s)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        log.warning("%s: the file system has no locks (%s); no other job may do the same work now", path.parent, error.strerror)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, say_waiting: Callable[[], None], poll_s: float) -> None:
    try:
        lock.acquire(blocking=False)
        return
    except Timeout:
        say_waiting()
        log.info("the job that is waited for: %s", holder_of(Path(lock.lock_file)))
    # Only the main thread may handle signals.
    in_main = threading.current_thread() is threading.main_thread()
    with postponed_signals() if in_main else nullcontext(str) as signalled:
        try:
            lock.acquire(poll_interval=poll_s, cancel_check=lambda: bool(signalled()))
        except Timeout:
            raise StoppedError(f"stopped by {signalled()} while it waited for another job.") from None


@contextmanager
def only_job_for(result: str | Path, folder: Path) -> Iterator[Callable[[], bool]]:
    """Let no other job make the same result until the block ends; wait if another job makes it.

    Two jobs for one result may live at the same time: a job that a cluster has put back into its queue while it still runs, a job
    that has outlived its Snakemake, two Snakemakes with `--nolock`.

    Args:
        result: a file or a folder, as all jobs name it.
        folder: where the locks of results are. The lock's file is gone after the block.

    Yields:
        A function that says whether another job was waited for, which may have made the result.
    """
    path, waited = _lock_of(result, folder), False

    def say() -> None:
        nonlocal waited
        waited = True
        log.info("another job is making %s; waiting until it ends", result)

    with held(path, say):
        try:
            yield lambda: waited
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def only_job_if_free(result: str | Path, folder: Path) -> Iterator[bool]:
    """As `only_job_for`, but without a wait. The block is told whether nobody else makes the result.

    On a file system without locks it is told that somebody does.
    """
    path = _lock_of(result, folder)
    with held_if_free(path) as mine:
        try:
            yield mine
        finally:
            if mine:
                path.unlink(missing_ok=True)


def _lock_of(result: str | Path, folder: Path) -> Path:
    return folder / f"{fingerprint(str(result))[:32]}.lock"


def is_held(path: Path) -> bool:
    """Whether a job holds this lock at the moment."""
    if not path.exists():
        return False
    with held_if_free(path) as free:
        return not free


def lock_open_file(file: IO[Any]) -> None:
    """Wait until no other job has locked this very file, and lock it until it is closed, if its file system has locks."""
    try:
        lock_descriptor(file.fileno(), poll_interval=0.01)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
