"""What a process does for other jobs: one piece of work after another, or several in the same steps and batches."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loragrid.ahead.others import Others, Ready
from loragrid.ahead.stages import PREDICT, TRAIN, Means, Stage
from loragrid.ahead.store import log_of
from loragrid.ahead.told import Told
from loragrid.errors import StoppedError
from loragrid.models.device import free_gpu_memory
from loragrid.runtime.interruptions import Interrupted, raised_signals, was_asked_to_end
from loragrid.runtime.job import begin_account, log, logged_apart, peak_memory_mb
from loragrid.runtime.manifests import read_json
from loragrid.runtime.shares import Share

MOST_TOGETHER = 16
"""Prediction jobs that are asked together, at most: each waits for the answers of all."""


def follow(others: Others, means: Means) -> None:
    """Do the work of other jobs, as long as there is any that can be done now.

    A signal that asks the process to end ends this: the process has done its own work, and unfinished work keeps its state.
    """
    if was_asked_to_end():
        return
    try:
        with raised_signals():
            while not was_asked_to_end() and (ready := others.take()) is not None:
                if shares_batches(ready.stage, ready.job):
                    predict_several(others, means, None, ready)
                elif shares_steps(ready.stage, ready.job, ready.told):
                    train_several(others, means, None, ready)
                else:
                    _do(others, ready, means)
                free_gpu_memory()
    except Interrupted as error:
        log.info("%s; its own work is done, and the state of what it did for others is kept", error)
    except Exception:
        # The process has done its own work.
        traceback.print_exc()
        log.info("nothing more is done for others")
    finally:
        others.let_go()
    if others.done:
        log.info("work of %d other jobs is done", others.done)


def _do(others: Others, ready: Ready, means: Means) -> None:
    """Do one piece of work."""
    started = time.perf_counter()
    begin_account()
    error: Exception | None = None
    try:
        # A process that an engine keeps open writes to the log that was open when it started.
        keeps_process = ready.stage.loads(ready.job) != "hf"
        with contextlib.nullcontext() if keeps_process else logged_apart(str(log_of(ready.place))):
            ready.stage.run(ready.kept_job, ready.told, started, nobody, means)
    except Exception as problem:
        error = problem
    others.leave(ready, error, Share(time.perf_counter() - started, peak_memory_mb()))


nobody: Callable[[], bool] = bool
"""Nobody was waited for."""


def shares_steps(stage: Stage, job: Any, told: Told) -> bool:
    """Whether a training may share its steps with others, as far as its configuration and the device tell."""
    if stage is not TRAIN:
        return False
    from loragrid.models.device import pick_device
    from loragrid.training.fits_together import Facts, why_not_together

    by_accelerate = bool(told.resources.get("accelerate"))
    return not why_not_together(job.settings.config, Facts(pick_device().type, by_accelerate, job.trackers))


def shares_batches(stage: Stage, job: Any) -> bool:
    """Whether a prediction may share its batches with others, and gains by it."""
    if stage is not PREDICT:
        return False
    from loragrid.inference.together import gains_together, may_share

    return may_share(job, job) and gains_together(job)


def train_several(others: Others, means: Means, own: tuple[Any, Callable[[], bool]] | None, first: Ready | None = None) -> None:
    """Train runs in shared steps: a given one, and those of other jobs that can be had meanwhile.

    Args:
        own: the training of the process itself, and whether another job was waited for that may have done the same.
        first: work that is taken already, if the process has no training of its own to do.

    Raises:
        Exception: what has failed of the process's own training.
    """
    from loragrid.training.together import Claimed, train_together

    taken = {first.job.folder: first} if first else {}
    waiting = [Claimed(*own)] if own else [Claimed(one.kept_job) for one in taken.values()]
    errors: list[Exception] = []

    own_is_done = False

    def take_next() -> Claimed | None:
        if waiting:
            return waiting.pop()
        if own_is_done and not taken:
            # What follows is no part of the process's own work.
            return None
        ready = others.take(lambda one: shares_steps(one.stage, one.job, one.told))
        if ready is None:
            return None
        taken[ready.job.folder] = ready
        return Claimed(ready.kept_job)

    def finished(claimed: Claimed, error: Exception | None) -> None:
        nonlocal own_is_done
        own_is_done = own_is_done or (own is not None and claimed.job is own[0])
        ready = taken.pop(claimed.job.folder, None)
        if ready is not None:
            others.leave(ready, error, None if error else _share_of(ready))
        elif error is not None and own is not None and claimed.job is own[0]:
            errors.append(error)
            # That can be told as soon as those have ended that share its steps.
            others.is_over = True

    begin_account()
    if train_together(take_next, finished, means.load):
        others.is_over = True
    if errors:
        raise errors[0]


def _share_of(ready: Ready) -> Share:
    """What finished work took, by its manifest."""
    manifest = read_json(ready.place / Path(ready.result).name, ["wall_time_s", "peak_memory_mb"])
    return Share(manifest["wall_time_s"], manifest["peak_memory_mb"])


def predict_several(others: Others, means: Means, own: Any, first: Ready | None = None) -> None:
    """Answer the questions of several jobs in shared batches: of a given one, and of others that can be had now.

    Args:
        own: the prediction of the process itself, if it is still to be made.
        first: work that is taken already, if the process has no prediction of its own to make.

    Raises:
        Exception: what has failed of the process's own prediction.
    """
    from loragrid.inference.kept_engines import KeptEngines
    from loragrid.inference.together import may_share, predict_together

    ready = [first] if first else []
    example = ready[0].job if first else own
    while len(ready) < MOST_TOGETHER:
        more = others.take(lambda one: one.stage is PREDICT and may_share(example, one.job))
        if more is None:
            break
        ready.append(more)
    taken = {one.job.files.predictions: one for one in ready}
    told_of_own: list[Exception | None] = []

    def done(job: Any, error: Exception | None) -> None:
        one = taken.get(job.files.predictions)
        if one is not None:
            others.leave(one, error, None if error else _share_of(one))
        else:
            told_of_own.append(error)

    assert isinstance(means.open_engine, KeptEngines)
    begin_account()
    jobs = [*([own] if own is not None else []), *(one.kept_job for one in ready)]
    try:
        with raised_signals() if own is not None else contextlib.nullcontext():
            predict_together(jobs, means.open_engine, done)
    except Interrupted as error:
        others.is_over = True
        if not told_of_own:
            raise StoppedError(f"{error}; the answers so far are kept.") from None
    if told_of_own and told_of_own[0] is not None:
        raise told_of_own[0]
