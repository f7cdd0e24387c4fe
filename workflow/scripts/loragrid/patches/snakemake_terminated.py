"""Snakemake 9, mended where it is asked to end (SIGTERM) at the moment at which it records a finished job.

Not reported. It can go when tests/unit/patches/test_snakemake_terminated.py passes without it.
"""

from __future__ import annotations

from threading import Thread
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

from loragrid.patches.versions import is_snakemake_9

_exit_gracefully = JobScheduler.exit_gracefully


def end_at_any_moment() -> None:
    """Have Snakemake heed SIGTERM while it holds its scheduler's lock.

    Unpatched, the handler takes that lock in the main thread. Where the main thread holds it already, Snakemake waits for itself
    for ever.
    """

    def exit_gracefully(scheduler: Any, *signalled: Any) -> None:
        Thread(target=_exit_gracefully, args=(scheduler, *signalled), daemon=True).start()

    if is_snakemake_9():
        JobScheduler.exit_gracefully = exit_gracefully
