"""A job's own work: what was done for it already, or else its computing; then the work of others, as far as it is wanted."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from loragrid.ahead.following import follow, predict_several, shares_batches, shares_steps, train_several
from loragrid.ahead.others import Others
from loragrid.ahead.plan import find_plan
from loragrid.ahead.stages import PREDICT, STAGES, TRAIN, Means, RawConfig, Stage, identity_of, means_of
from loragrid.ahead.store import begin, log_of, note_failure, place_of, take, taken
from loragrid.ahead.told import Told
from loragrid.inference.checks import evidence_of
from loragrid.layout import LOCKS
from loragrid.runtime.finished import is_made_meanwhile, remove_state, sees_it_running
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import log, peak_memory_mb, process_seconds
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.shares import Share, leave_share


def work_on(told: Told, config: RawConfig, screen: TextIO) -> None:
    """Do the work of a job, or take what another job has done of it. Then do the work of other jobs with the same model.

    Args:
        config: the configuration, as YAML gave it.
        screen: where a line is shown for each piece of work that is done for others.
    """
    started, stage = time.perf_counter(), STAGES[told.rule]
    job = stage.describe(told, config)
    # An answer of a server, and what several processes train, is nobody's to make ahead.
    by_itself = not stage.loads(job) or bool(told.resources.get("accelerate"))
    place = None if by_itself else place_of(stage.name, identity_of(stage, job, told))
    limit = 1 if by_itself or int(told.resources.get("gpu") or 0) > 1 else int(told.resources.get("jobs_per_process", 1))
    with contextlib.ExitStack() as kept:
        # Snakemake's marker may be gone later.
        sees_it_running(told.last_output)
        with only_job_for(stage.result(job), Path(LOCKS)) as has_waited:
            if place and _takes(place, told):
                return
            is_made = has_waited() or is_made_meanwhile(told.last_output)
            if stage.computes_here(job):
                lease_gpus(told.resources)
            means = kept.enter_context(means_of(keeps=limit != 1))
            plan = None if limit == 1 else find_plan(base_model=told.base_model)
            if place and plan:
                begin(place, told.last_output, plan.name)
            others = Others(told, stage.loads(job), config, plan, limit, screen) if plan else None
            try:
                _compute(stage, job, told, started, lambda: is_made, means, others)
            except Exception:
                if place and plan:
                    note_failure(place, told.last_output, plan.name)
                raise
            if place and plan:
                remove_state(place)
        if others:
            log.info("its own work is done after %.1f s", time.perf_counter() - started)
            with contextlib.suppress(OSError):
                leave_share(told.rule, told.wildcards, Share(process_seconds() - others.seconds, peak_memory_mb()))
            follow(others, means)


def _compute(
    stage: Stage, job: Any, told: Told, started: float, has_waited: Callable[[], bool], means: Means, others: Others | None
) -> None:
    """Do the work itself: alone, or, where that is faster, together with that of others.

    Args:
        has_waited: whether another job may have made the result, which is taken if it was made of the same.
    """
    with contextlib.ExitStack() as kept:
        if others is not None:
            kept.callback(others.let_go)
            if stage is TRAIN and shares_steps(stage, job, told):
                train_several(others, means, (job, has_waited))
                return
            if stage is PREDICT and shares_batches(stage, job) and not has_waited():
                predict_several(others, means, job)
                return
        stage.run(job, told, started, has_waited, means)


def _takes(place: Path, told: Told) -> bool:
    """Take the finished work of another job, if there is any; the log gets the lines of that work."""
    whose = take(place, Path(told.last_output).parent)
    if whose is None:
        return False
    log.info("this was done ahead, in %.1f s, by %s", whose["seconds"], whose["by"])
    with contextlib.suppress(OSError):
        lines = log_of(place).read_text(encoding="utf-8", errors="replace").rstrip("\n")
        print(f"its log:\n{lines}")
    if told.rule == "check":
        evidence_of(told.last_output).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        leave_share(told.rule, told.wildcards, Share(whose["seconds"], whose["peak_mb"]))
    taken(place, told.last_output)
    return True
