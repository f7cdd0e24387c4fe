"""Snakemake 9 without its default limit on how many jobs start per second.

With a limit, each look for jobs to start asks for another look a second later. Each job that ends makes Snakemake look too. So
more and more such requests go round: after some hundred jobs they alone keep a core busy. An open pull request is about the
same loop: https://github.com/snakemake/snakemake/pull/3744. The patch can go when a limit costs nothing, or when no limit is
the default.
"""

from __future__ import annotations

from typing import Any

from loragrid.patches.versions import is_snakemake_9

DEFAULT = (100, 1)
"""Jobs, and the seconds in which so many may start."""


def lift_default_job_rate(workflow: Any) -> None:
    """Lift the default limit on job starts. A limit of the user's own stays."""
    limit = getattr(workflow.scheduling_settings, "max_jobs_per_timespan", None)
    if is_snakemake_9() and limit and (limit.max_jobs, limit.timespan) == DEFAULT:
        workflow.scheduling_settings.max_jobs_per_timespan = None
