"""Benchmarks of Snakemake 9 that say what a job took, although its process worked for several jobs.

Snakemake writes down the seconds and the memory of a job's process. We know of no report, since it has one process for each job.
The patch can go when the workflow's jobs work for themselves only, or when a job can tell Snakemake what it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from snakemake import benchmark

from loragrid.patches.versions import is_snakemake_9

OF_PROCESS = ("max_vms", "max_uss", "max_pss", "io_in", "io_out", "mean_load", "cpu_time", "cpu_usage")
"""What is measured of a process besides seconds and memory: of a job it is not available then."""

_write = benchmark.write_benchmark_records


def record_shares(take: Callable[[str, Mapping[str, str], float], tuple[float, float | None] | None]) -> None:
    """Have Snakemake write down a job's own share where the job has left it.

    Args:
        take: gives seconds and memory in MiB (None: as measured) for a rule, wildcards, and the time at which the job started, in
            seconds since the epoch; None if nothing was left.
    """

    def write_benchmark_records(records: Sequence[Any], path: str, extended_fmt: bool) -> None:
        for record in records:
            wildcards = {name: str(value) for name, value in record.wildcards.items()}
            # A start in the same moment, by another clock's rounding, is early enough.
            if share := take(record.rule_name, wildcards, time.time() - record.running_time - 1):
                _state(record, *share)
        _write(records, path, extended_fmt)

    if is_snakemake_9():
        benchmark.write_benchmark_records = write_benchmark_records


def _state(record: Any, seconds: float, peak_mb: float | None) -> None:
    """Have a record state a share."""
    measured = record.get_benchmarks
    record.running_time = seconds

    def get_benchmarks(extended_fmt: bool = False) -> list[Any]:
        row = dict(zip(record.get_header(extended_fmt), measured(extended_fmt), strict=True))
        own = {"max_rss": row["max_rss"] if peak_mb is None else peak_mb} | dict.fromkeys(OF_PROCESS, "NA")
        return [own.get(name, value) for name, value in row.items()]

    record.get_benchmarks = get_benchmarks
