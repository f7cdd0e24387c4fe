"""Snakemake 9.27 without the default limit on how many jobs start a second."""

from __future__ import annotations

from typing import Any


def lift_default_job_rate(workflow: Any) -> None:
    """Lift the default limit on job starts (100 a second). A limit of the user's own stays.

    With it, Snakemake looks for jobs to start once more a second after each time that it looked. After some hundred jobs that alone keeps a core
    busy.
    """
    limit = getattr(workflow.scheduling_settings, "max_jobs_per_timespan", None)
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduling_settings.max_jobs_per_timespan = None
