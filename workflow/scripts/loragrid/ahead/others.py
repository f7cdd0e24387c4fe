"""The work of other jobs that a process may do: what is ready, and claims on it."""

from __future__ import annotations

import errno
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from loragrid.ahead.plan import Plan, fellows, may_follow
from loragrid.ahead.stages import STAGES, RawConfig, Stage, identity_of
from loragrid.ahead.store import begin, finish, has_failed, is_finished, note_failure, place_of, put_back, was_tried
from loragrid.ahead.told import Told
from loragrid.errors import StoppedError, UserError, printable
from loragrid.layout import LOCKS
from loragrid.runtime.job import log
from loragrid.runtime.locks import only_job_if_free
from loragrid.runtime.redaction import redacted
from loragrid.runtime.screen import SHOWS_JOBS
from loragrid.runtime.shares import Share


class Ready(NamedTuple):
    """Work of another job that can be done now."""

    stage: Stage
    told: Told
    """With inputs where they lie now."""
    job: Any
    place: Path
    """Where its result will wait."""

    @property
    def result(self) -> str:
        """The output that the job writes last."""
        return self.told.last_output

    @property
    def kept_job(self) -> Any:
        """The job, which leaves its outputs where they wait."""
        return self.stage.kept_in(self.job, str(self.place))


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Errors that other work would meet too."""


def any_work(ready: Ready) -> bool:
    """Accepts whatever can be done."""
    return True


class Others:
    """The jobs whose work may follow that of a job in the same process. Those that it takes are locked until it leaves them.

    Args:
        own: what the process itself was told.
        loaded: what loads models in this process.
        limit: for how many jobs it works, its own counted; 0: for all that are ready.
        screen: where a line is shown for each piece of work that is done.
    """

    def __init__(self, own: Told, loaded: str, config: RawConfig, plan: Plan, limit: int, screen: TextIO) -> None:
        # The plan knows more than the job is told.
        planned = next((job for job in plan.jobs if job.log == own.log), own)
        own = own._replace(message=planned.message, environment=planned.environment)
        self.by = f"process {os.getpid()} on {platform.node()}, which was started for: {own.message or own.log} (log: {own.log})"
        self.loaded, self.config, self.plan, self.limit, self.screen = loaded, config, plan, limit, screen
        self.left = {
            job.log: job
            for job in plan.jobs
            if job.rule in STAGES and job.log != own.log and may_follow(own, job, plan.head.limited)
        }
        self.where: dict[str, str] = {}
        """The places of files that wait in the folder of a finished result."""
        self.last_run = own.wildcards.get("run")
        self.fellows = fellows()
        self.held: dict[str, tuple[Ready, ExitStack]] = {}
        """Work that is taken, with its lock, by the log of its job."""
        self.taken = 0
        self.done = 0
        self.seconds = 0.0
        """What the work took that is finished."""
        self.is_over = False
        """Whether nothing more is to be taken: the process was asked to end, or can write no more."""

    def take(self, accepts: Callable[[Ready], bool] = any_work) -> Ready | None:
        """Work that nobody else does from now on; None if there is none now, or enough was taken."""
        if self.is_over or (self.limit and self.taken + 1 >= self.limit) or self.plan.is_over():
            return None
        try:
            return next(filter(self._claim, filter(accepts, self._find())), None)
        except OSError as error:
            log.info("nothing more is done for others: %s", error)
            self.is_over = True
            return None

    def _claim(self, ready: Ready) -> bool:
        """Lock work, unless somebody else does it or has done it."""
        with ExitStack() as lock:
            mine = lock.enter_context(only_job_if_free(ready.stage.result(ready.job), Path(LOCKS)))
            if mine and was_tried(ready.place, self.plan.name):
                log.info("a process has died of this, and its own job will do it: %s", ready.told.title)
                self.left.pop(ready.told.log, None)
            # Somebody may have finished it just before.
            elif mine and self._is_wanted(ready):
                begin(ready.place, ready.result, self.plan.name)
                self.held[ready.told.log] = ready, lock.pop_all()
                self.taken += 1
                self.last_run = ready.told.wildcards.get("run")
                log.info("ahead, for another job: %s", ready.told.title)
                return True
        return False

    def leave(self, ready: Ready, error: Exception | None, share: Share | None = None) -> None:
        """Give up the claim on work: it is finished, or has failed. A failure is told by the job itself, which tries once more.

        Args:
            share: what the work took; needed if it is finished.
        """
        try:
            if error is None:
                assert share is not None
                self._finish(ready, share)
        except Exception as problem:
            error = problem
        try:
            if error is not None:
                self._note(ready, error)
        finally:
            self.held.pop(ready.told.log)[1].close()

    def _finish(self, ready: Ready, share: Share) -> None:
        if place_of(ready.stage.name, identity_of(ready.stage, ready.job, ready.told)) != ready.place:
            raise UserError("what it was made of has changed meanwhile.")
        finish(ready.place, ready.told.output.values(), ready.result, self.by, share)
        self.done, self.seconds = self.done + 1, self.seconds + share.seconds
        self._show(f"done ahead: {ready.told.title}")

    def _note(self, ready: Ready, error: Exception) -> None:
        if isinstance(error, StoppedError) or (isinstance(error, OSError) and error.errno in _OF_THE_DISK):
            log.info("nothing more is done for others: %s", error)
            self.is_over = True
            put_back(ready.place, ready.result)
            return
        if not isinstance(error, UserError):
            traceback.print_exception(error)
        log.info("this failed, and its own job will do it once more: %s", redacted(str(error)))
        note_failure(ready.place, ready.result, self.plan.name)

    def let_go(self) -> None:
        """Give up all claims."""
        while self.held:
            ready, lock = self.held.popitem()[1]
            put_back(ready.place, ready.result)
            lock.close()

    def _show(self, line: str) -> None:
        if SHOWS_JOBS in os.environ:
            with suppress(OSError, ValueError):
                print(f"[{time.strftime('%H:%M:%S')}] {printable(line)}", file=self.screen, flush=True)

    def _find(self) -> Iterator[Ready]:
        """Work that can be done now, the most wanted first. What is done or has failed is left out from now on."""
        seen = -1
        while seen != len(self.where):
            seen = len(self.where)
            for told in sorted(self.left.values(), key=self._order):
                if told.log not in self.held and (ready := self._ready(told)) is not None:
                    yield ready

    def _order(self, told: Told) -> tuple[bool, bool, bool]:
        """Jobs of the same submission first; then what belongs to the run that was worked on; then the rest, trainings last."""
        alone = bool(self.fellows) and self.fellows.isdisjoint(told.output.values())
        return alone, told.wildcards.get("run") != self.last_run, told.rule in ("train", "train_full")

    def _ready(self, told: Told) -> Ready | None:
        if self.plan.is_done(told):
            self.left.pop(told.log, None)
            return None
        if not all(path in self.where or self.plan.is_made(path) for path in told.inputs):
            return None
        try:
            stage, moved = STAGES[told.rule], told.with_inputs(self.where)
            job = stage.describe(moved, self.config)
            ready = Ready(stage, moved, job, place_of(stage.name, identity_of(stage, job, moved)))
        except (UserError, OSError, LookupError, ValueError, TypeError, AttributeError) as error:
            # Its own job will say what is wrong.
            log.debug("%s cannot be done ahead: %s", told.log, error)
            self.left.pop(told.log, None)
            return None
        if stage.loads(job) != self.loaded or has_failed(ready.place, self.plan.name):
            self.left.pop(told.log, None)
            return None
        return ready if self._is_wanted(ready) else None

    def _is_wanted(self, ready: Ready) -> bool:
        """Whether nobody has done the work yet. The files of a result that waits are found from now on."""
        if is_finished(ready.place):
            files = {path: str(ready.place / Path(path).name) for path in ready.told.output.values()}
            self.where |= {path: place for path, place in files.items() if Path(place).exists()}
            self.left.pop(ready.told.log, None)
            return False
        return not self.plan.is_done(ready.told)
