"""What every job needs around its work: one log file, one clear sentence when it fails, the facts for its manifest."""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import os
import platform
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from loragrid.errors import UserError, printable
from loragrid.runtime.job_streams import log_file, no_input
from loragrid.runtime.redaction import redacted
from loragrid.runtime.screen import ERROR, SHOWN_BY_MAIN
from loragrid.runtime.system_errors import unexpected

log = logging.getLogger("loragrid")


@contextmanager
def logged(path: str) -> Iterator[TextIO]:
    """Send everything that the job prints to its log file. On failure, end the job with one sentence.

    The main process shows the sentence on the screen; where it does not, this does. An unexpected error leaves its traceback
    in the log.

    Yields:
        What was the error stream: what is printed there, the user sees.
    """
    # Only jobs whose configuration names a hub ask one.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    screen, started = sys.stderr, time.perf_counter()
    with no_input(), log_file(path) as (file, is_cut), redirect_stdout(file), redirect_stderr(file):
        handler = show_log(file)
        try:
            yield screen
            log.info("done after %.1f s", time.perf_counter() - started)
        except Exception as error:
            expected = isinstance(error, UserError)
            if not expected:
                traceback.print_exc(file=file)
            sentence = redacted(str(error) if expected else unexpected(error))
            print(f"{ERROR}{sentence}", file=file)
            # From a log without its end, the main process has no sentence.
            if SHOWN_BY_MAIN not in os.environ or is_cut():
                print(f"{printable(sentence)}\n(log: {path})", file=screen)
            sys.exit(1)
        finally:
            # The file is closed after the block: a later job in the same process has a log of its own.
            log.removeHandler(handler)


@contextmanager
def logged_apart(path: str) -> Iterator[None]:
    """Within the block of `logged`, send all that is printed to another log file."""
    handlers = list(log.handlers)
    with log_file(path) as (file, _), redirect_stdout(file), redirect_stderr(file):
        for handler in handlers:
            log.removeHandler(handler)
        own = show_log(file)
        try:
            yield
        finally:
            log.removeHandler(own)
            for handler in handlers:
                log.addHandler(handler)


def show_log(stream: TextIO) -> logging.Handler:
    """Print log lines with their time.

    Returns:
        What prints them, until it is removed from `log`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return handler


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the named packages."""
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


# A process that works ahead asks for each candidate.
@cache
def _version(package: str) -> str:
    return importlib.metadata.version(package)


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of those of the named packages that are installed."""
    found: dict[str, str] = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = _version(name)
    return found


def git_commit() -> str | None:
    """The checked-out commit, with `+` behind it if files differ from it; None outside a repository."""
    try:
        git = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def begin_account() -> None:
    """Begin to measure memory anew, for a further piece of work of this process.

    Freed memory goes back to the system, so that it does not count again. Where the system does not let a process reset its peak
    (it is Linux that does, and some containers forbid it), `peak_memory_mb` goes on to be the peak since the process started.
    """
    with suppress(OSError, AttributeError):
        # The C library may have been told to keep what is freed (models/device.py).
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        # See `man proc_pid_clear_refs`: 5 resets the peak of resident memory.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if _uses_gpu():
        import torch

        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)


def peak_memory_mb() -> int:
    """Highest resident memory of this process since its last account began, in MiB."""
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform == "linux" else 1024**2)


def process_seconds() -> float:
    """Seconds since this process started."""
    import psutil  # type: ignore[import-untyped]

    return time.time() - float(psutil.Process().create_time())


def _uses_gpu() -> bool:
    """Whether this process has used a GPU of CUDA."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def gpu_memory() -> dict[str, int]:
    """`peak_gpu_memory_mb`: the most that this process's tensors have taken on a GPU since its account began, in MiB.

    Of several GPUs, the one with most counts. Nothing without a GPU of CUDA, or if this process has not used it.
    """
    if not _uses_gpu():
        return {}
    import torch

    peak = max(torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())) // 2**20
    return {"peak_gpu_memory_mb": peak} if peak else {}


MENDED = 1
"""How often faults were mended that no version of a stage tells of. Manifests say it as `mended`; `doubtful` reads it."""


def circumstances(started: float, device: str, dtype: str, threads: int) -> dict[str, Any]:
    """The part of a manifest that says where and at what cost something was computed.

    Args:
        started: `time.perf_counter()` at the start of the work.
    """
    return {
        "mended": MENDED,
        "git_commit": git_commit(),
        "hardware": {"processor": processor(), "device": device, "dtype": dtype, "threads": threads},
        "wall_time_s": round(time.perf_counter() - started, 3),
        "peak_memory_mb": peak_memory_mb(),
        **gpu_memory(),
    }
