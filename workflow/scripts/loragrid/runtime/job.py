"""What every job needs around its work: one log file, one clear sentence when it fails, the facts for its manifest."""

from __future__ import annotations

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
from typing import Any, TextIO

from loragrid.errors import UserError, printable
from loragrid.runtime.job_streams import log_file, no_input
from loragrid.runtime.redaction import redacted
from loragrid.runtime.screen import ERROR, SHOWN_BY_MAIN
from loragrid.runtime.system_errors import unexpected

log = logging.getLogger("loragrid")


@contextmanager
def logged(path: str) -> Iterator[None]:
    """Send everything that the job prints to its log file. On failure, end the job with one sentence.

    The main process shows the sentence on the screen; where it does not, this does. An unexpected error leaves its traceback
    in the log.
    """
    # Only jobs whose configuration names a hub ask one.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    screen, started = sys.stderr, time.perf_counter()
    with no_input(), log_file(path) as (file, is_cut), redirect_stdout(file), redirect_stderr(file):
        handler = show_log(file)
        try:
            yield
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
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of those of the named packages that are installed."""
    found: dict[str, str] = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
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


def peak_memory_mb() -> int:
    """Highest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform == "linux" else 1024**2)


def gpu_memory() -> dict[str, int]:
    """`peak_gpu_memory_mb`: the most that this process's tensors have taken on a GPU so far, in MiB.

    Of several GPUs, the one with most counts. Nothing without a GPU of CUDA, or if this process has not used it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
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
