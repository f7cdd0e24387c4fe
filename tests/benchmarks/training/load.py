"""How busy other programs keep the machine: they slow training down by far more than the time that they take."""

import os
import time
from pathlib import Path
from typing import NamedTuple

CALM = 0.05
"""Up to this share of the processors in use by other programs, a measurement counts."""


class Usage(NamedTuple):
    """Seconds since some moment."""

    wall: float
    machine: float
    """Of processors in use, all together."""
    process: float
    """Of processors in use by this process."""


def usage() -> Usage:
    """How long the processors have been in use so far; by this process only, where the system does not tell."""
    process = time.process_time()
    try:
        user, nice, system, _, _, interrupts, soft, stolen, *_ = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return Usage(time.perf_counter(), process, process)
    ticks = sum(map(int, (user, nice, system, interrupts, soft, stolen)))
    return Usage(time.perf_counter(), ticks / os.sysconf("SC_CLK_TCK"), process)


def others_share(before: Usage, after: Usage) -> float:
    """The share of all processors that other processes used between two moments."""
    wall, machine, process = (late - early for early, late in zip(before, after, strict=True))
    return max(0.0, machine - process) / (wall * (os.cpu_count() or 1))


def await_calm(patience_s: float, watch_s: float = 4) -> None:
    """Wait until other programs have left the processors alone for a while, but no longer than `patience_s`."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        before = usage()
        time.sleep(watch_s)
        if others_share(before, usage()) <= CALM:
            return
