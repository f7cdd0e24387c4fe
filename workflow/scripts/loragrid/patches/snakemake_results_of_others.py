"""Snakemake 9, mended where several work in one folder (`--nolock`), and where it ends while jobs do.

Neither is reported. Both parts can go when tests/workflow/test_two_snakemakes.py passes without them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from snakemake.jobs import Job
from snakemake.scheduling.job_scheduler import JobScheduler

from loragrid.patches.versions import is_snakemake_9

_remove = Job.remove_existing_output
_schedule = JobScheduler.schedule


def keep_results_of_others(since: float) -> None:
    """Have a job's outputs stay where they are until they are replaced, if another Snakemake has made them meanwhile.

    Unpatched, Snakemake removes them before the job starts, while jobs of the other read them. The jobs of this workflow replace
    their outputs whole.

    Args:
        since: when this Snakemake began to look at files, in seconds since the epoch.
    """

    async def remove_existing_output(job: Any) -> None:
        outputs, patterns = job.output, job.rule.output
        kept = {file for file in outputs if _changed(str(file)) > since}
        if not kept:
            await _remove(job)
            return
        for file in (*(one for one, _ in zip(outputs, patterns, strict=True) if one not in kept), *job.log):
            with suppress(FileNotFoundError):
                await file.remove(remove_non_empty_dir=False)

    if is_snakemake_9():
        Job.remove_existing_output = remove_existing_output


def _changed(path: str) -> float:
    try:
        found = os.lstat(path)
        # What was made earlier is put into its place by a link.
        return max(found.st_mtime, found.st_ctime)
    except OSError:
        return 0.0


def record_what_ends_meanwhile() -> None:
    """Have Snakemake record the jobs that end well while it is interrupted.

    Unpatched, it waits for them and then forgets them, so that their results count as incomplete and are made again.
    """

    def schedule(scheduler: Any) -> Any:
        went_well = _schedule(scheduler)
        if not went_well:
            with scheduler._lock:
                scheduler._finish_jobs()
        return went_well

    if is_snakemake_9():
        JobScheduler.schedule = schedule
