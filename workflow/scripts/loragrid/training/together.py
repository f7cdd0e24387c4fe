"""Trains several runs of one base model in one process, each optimiser step for all of them.

Each run keeps its own adapter, optimiser, schedule, order of examples, clipping, seeds, validation, early stopping, checkpoints
and result; what it shares is forward and backward passes. It enters when there is room for it, and leaves when it ends, whatever
becomes of the others. Its state on disk is that of a training alone, which can go on from it, and the other way round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch

from loragrid.errors import StoppedError, UserError
from loragrid.models.device import free_cached_memory, free_gpu_memory, is_out_of_memory, keep_freed_memory, pick_device
from loragrid.models.fused_kernels import usual_functions_afterwards
from loragrid.models.loading import LoadBase, load_base_model
from loragrid.models.packed_attention import draws_at_random
from loragrid.runtime.interruptions import postponed_signals
from loragrid.runtime.job import begin_account, log
from loragrid.training.batches import Batch
from loragrid.training.fits_together import Facts, has_room, why_not_together
from loragrid.training.graphs import own_stream
from loragrid.training.job import close_state, is_made, make_state, no_wishes_for_accelerate, state_of, train_claimed
from loragrid.training.loop import Due, Progress
from loragrid.training.memory import lack_of_memory_told
from loragrid.training.results import write_result
from loragrid.training.settings import TrainingJob
from loragrid.training.shared_runs import (
    Group,
    Member,
    ReadyRun,
    adapter_of,
    join,
    leave,
    make_ready,
    open_group,
    told_of,
)
from loragrid.training.shared_steps import Found, StepOfRun, compute, lay_out_steps, read


class Claimed(NamedTuple):
    """A training that nobody else works on meanwhile."""

    job: TrainingJob
    has_waited: Callable[[], bool] = bool
    """Whether another job was waited for, which may have trained the same."""


MOST_LEFT = 2
"""Trainings that wait to be trained by themselves while others share steps, at most."""

ASK_EVERY_S = 10.0
"""How long nobody is asked for further trainings where there was none."""

TakeNext = Callable[[], Claimed | None]
Finished = Callable[[Claimed, Exception | None], None]


@usual_functions_afterwards()
def train_together(take_next: TakeNext, finished: Finished, load: LoadBase = load_base_model) -> str:
    """Train what is given, until nothing more is given and all of it has ended.

    What cannot share steps with the others is trained by itself behind them; the log says why. When a signal asks the process to
    end, the states of all runs are saved, and nothing more is taken.

    Args:
        take_next: gives another training of the same base model; None if there is none at the moment. It is asked again whenever
            there is room.
        finished: told of each training once it has ended: its result is in place, or why there is none (a StoppedError if it is
            to go on later).
        load: gives the base model, to each run one of its own. All should share their weights.

    Returns:
        The reason if the process was asked to end, else an empty text.
    """
    keep_freed_memory()
    reason, left = "", True
    while left and not reason:
        crew = _Crew(take_next, finished, load)
        with no_wishes_for_accelerate(alone=True), postponed_signals() as signalled:
            with own_stream(pick_device()):
                crew.work(signalled)
            reason, left = signalled(), bool(crew.left)
        for claimed in crew.left:
            if not reason:
                reason = _train_alone(claimed, finished, load)
            else:
                finished(claimed, StoppedError(f"stopped by {reason} before it began."))
    return reason


def _train_alone(claimed: Claimed, finished: Finished, load: LoadBase) -> str:
    """Train a run by itself.

    Returns:
        The reason if it was asked to stop.
    """
    begin_account()
    try:
        with told_of(claimed.job):
            train_claimed(claimed.job, None, claimed.has_waited, load)
    except StoppedError as error:
        finished(claimed, error)
        return "a signal"
    except Exception as error:
        finished(claimed, error)
    else:
        finished(claimed, None)
    return ""


class _Crew:
    """Takes trainings, and steps for all that have room."""

    def __init__(self, take_next: TakeNext, finished: Finished, load: LoadBase):
        self.left: list[Claimed] = []
        """Those that are trained by themselves."""
        self._take_next, self._finished, self._load = take_next, finished, load
        self._group: Group | None = None
        self._waiting: list[tuple[Claimed, ReadyRun]] = []
        """Taken, and not yet among those that share steps."""
        self._claims: dict[int, Claimed] = {}
        self._ask_after = 0.0
        self._laid_out: tuple[object, list[Batch]] | None = None

    def work(self, signalled: Callable[[], str]) -> None:
        """Train until nothing is left to do."""
        while True:
            if not signalled():
                self._let_in(signalled)
            if self._group is None or not self._group.members:
                break
            try:
                self._step(self._group)
            except Exception as error:
                # What fails for one has left by itself. What fails for all may be no fault of theirs.
                log.info("steps cannot be shared (%s: %s)", type(error).__name__, error)
                for member in list(self._group.members):
                    with told_of(member.ready.job):
                        leave(self._group, member)
                        self._leave_alone(self._claims.pop(id(member)), "steps cannot be shared")
        self.left += [claimed for claimed, _ in self._waiting]
        # Those that are left need the memory. What was recorded and what is hooked refers to the group.
        if self._group is not None:
            self._group.several.remove()
            self._group.recorded = self._group.record = None
        self._group, self._waiting = None, []
        free_gpu_memory()

    def _next(self) -> Claimed | None:
        """Another training, if there is one; seldom asked where there was none, since each step asks."""
        shares = bool(self._waiting) or self._nb_members > 0
        if len(self.left) >= (MOST_LEFT if shares else 1) or time.monotonic() < self._ask_after:
            # Others may train what would only wait here.
            return None
        claimed = self._take_next()
        self._ask_after = time.monotonic() + (ASK_EVERY_S if claimed is None else 0.0)
        return claimed

    def _let_in(self, signalled: Callable[[], str]) -> None:
        """Let runs join, as long as there are any, and room for them."""
        while not signalled():
            if len(self._waiting) + self._nb_members < 2 or not self._waiting:
                if (claimed := self._next()) is not None:
                    with self._reported(claimed):
                        self._prepare(claimed)
                    continue
                if self._waiting:
                    self._leave_alone(self._waiting.pop()[0], "no other run is there")
                return
            claimed, ready = self._waiting[0]
            if not self._has_room(ready):
                return
            del self._waiting[0]
            with self._reported(claimed):
                self._join(claimed, ready, signalled)

    @property
    def _nb_members(self) -> int:
        return len(self._group.members) if self._group else 0

    @contextmanager
    def _reported(self, claimed: Claimed) -> Iterator[None]:
        """Report what fails in the block: it is the failure of one run."""
        try:
            with told_of(claimed.job):
                yield
        except Exception as error:
            self._finished(claimed, error)

    def _prepare(self, claimed: Claimed) -> None:
        """Read a run's examples, if it can share steps as far as its configuration tells."""
        job = claimed.job
        facts = Facts(pick_device().type, trackers=job.trackers)
        if why := why_not_together(job.settings.config, facts):
            self._leave_alone(claimed, why)
            return
        state = state_of(job, None)
        if is_made(job, state, claimed.has_waited):
            close_state(job, state)
            self._finished(claimed, None)
            return
        torch.set_num_threads(job.threads)
        ready = make_ready(job, state)
        if self._group is None:
            with ready.account.working():
                self._group = open_group(ready, self._load)
        group = self._group
        facts = facts._replace(
            step_tokens=ready.step_tokens,
            row_tokens=job.settings.config.micro_batch_tokens or group.layout.max_tokens,
            parameters=group.base.num_parameters(),
            packed=group.layout.packed,
        )
        why = why_not_together(job.settings.config, facts)
        if draws_at_random(group.base):
            why = "the base model has dropout of its own, which draws at random for all tokens of a row"
        if ready.kind != group.kind:
            why = "its base model, dtype or kernels are not those of the others"
        if why:
            self._leave_alone(claimed, why)
        else:
            self._waiting.append((claimed, ready))

    def _leave_alone(self, claimed: Claimed, why: str) -> None:
        log.info("is trained by itself: %s", why)
        self.left.append(claimed)

    def _has_room(self, ready: ReadyRun) -> bool:
        assert self._group is not None
        members = self._group.members
        rank = int(ready.job.settings.config.rank)  # type: ignore[attr-defined]
        limit = min(self._group.row_tokens, ready.job.settings.config.micro_batch_tokens or self._group.row_tokens)
        present = [(member.ready.step_tokens, member.place.rank) for member in members]
        size = self._group.base.get_input_embeddings().weight.shape[-1]
        return has_room(present, (ready.step_tokens, rank), limit, size)

    def _join(self, claimed: Claimed, ready: ReadyRun, signalled: Callable[[], str]) -> None:
        assert self._group is not None
        group = self._group
        with ready.account.working():
            model, why = adapter_of(ready, group, self._load)
        if why:
            self._leave_alone(claimed, why)
            return
        make_state(ready.job, ready.state)
        member = join(group, ready, model, signalled)
        self._claims[id(member)] = claimed
        log.info("shares its steps; %d runs do", len(group.members))
        self._advance(member, partial(next, member.training))

    def _advance(self, member: Member, go_on: Callable[[], Due]) -> None:
        """Let a run do what it does by itself, up to its next step or to its end."""
        account = member.ready.account
        try:
            with told_of(member.ready.job), account.working():
                member.due = go_on()
        except StopIteration as end:
            self._end(member, None, end.value)
        except Exception as error:
            self._end(member, error)

    def _end(self, member: Member, error: Exception | None, course: Sequence[Progress] = ()) -> None:
        """Let a run leave: with its result, or with what failed."""
        assert self._group is not None
        self._ask_after = 0.0
        claimed, ready, learner = self._claims.pop(id(member)), member.ready, member.learner
        leave(self._group, member)
        if error is None:
            try:
                with told_of(ready.job):
                    started = time.perf_counter() - ready.account.seconds()
                    write_result(ready.job, learner, None, None, ready.renderer, ready.mix, course, started, ready.state)
                    close_state(ready.job, ready.state)
                    log.info("trained, in steps shared with other runs")
            except Exception as problem:
                error = problem
        self._finished(claimed, error)

    def _step(self, group: Group) -> None:
        """Take one step of each run."""
        started = time.perf_counter()
        members = list(group.members)
        found = self._found(group, members)
        if not all(one.is_finite for one in found):
            members, found = self._without_failures(group, members)
        shares = _due_steps(members)
        for member, one in zip(members, found, strict=True):
            assert member.due is not None
            member.optimizer.step(member.due.learning_rate, one.norm)
        took, tokens = time.perf_counter() - started, max(1, sum(share.nb_tokens for share in shares))
        for member, share in zip(members, shares, strict=True):
            member.ready.account.add(took * share.nb_tokens / tokens)
        for member, one in zip(members, found, strict=True):
            self._advance(member, partial(member.training.send, torch.tensor(one.loss)))

    def _found(self, group: Group, members: list[Member]) -> list[Found]:
        """The losses of runs, and the norms of their gradients, which are there now."""
        shares, key = _due_steps(members), _key(group, members, 0)
        batches = self._laid_out[1] if self._laid_out and self._laid_out[0] == key else _lay_out(group, shares)
        self._laid_out = None
        config = members[0].learner.config
        with lack_of_memory_told(config, group.row_tokens, group.device):
            computed = _computed(group, shares, batches)
        if all(member.due and member.due.next_examples for member in members):
            # While a GPU works on this step, the host prepares the next one, as it is if nobody comes or goes.
            following = [StepOfRun(m.place, m.due.next_examples) for m in members if m.due]
            self._laid_out = _key(group, members, 1), _lay_out(group, following)
        return read(computed, shares)

    def _without_failures(self, group: Group, members: list[Member]) -> tuple[list[Member], list[Found]]:
        """Let those runs end whose loss or gradient is not finite, and compute the step of the others.

        A number that is none reaches the gradients of all runs in its row: 0 times it is none either. So each run is looked at by
        itself. No step was taken yet.
        """
        for member in members:
            assert member.due is not None
            [alone] = self._found(group, [member])
            if not math.isfinite(alone.loss):
                self._advance(member, partial(member.training.send, torch.tensor(alone.loss)))
            elif not math.isfinite(alone.norm):
                what = f"the gradient is not finite at step {member.due.step}: try a lower learning_rate, or dtype float32."
                self._end(member, UserError(what))
        left = [member for member in members if member in group.members]
        found = self._found(group, left) if left else []
        if not all(one.is_finite for one in found):
            raise RuntimeError("a number is not finite in them, although it is in those of each run")
        return left, found


def _due_steps(members: list[Member]) -> list[StepOfRun]:
    return [StepOfRun(member.place, member.due.examples) for member in members if member.due]


def _lay_out(group: Group, shares: list[StepOfRun]) -> list[Batch]:
    longest = group.longest if group.fills_rows else None
    return lay_out_steps(shares, group.row_tokens, group.several.nobody, group.layout.pad, longest)


def _key(group: Group, members: list[Member], ahead: int) -> object:
    """What rows depend on that were laid out for the step of runs, or for the one behind it."""
    steps = [(id(member), member.place, member.due.step + ahead) for member in members if member.due]
    return steps, group.row_tokens, group.several.nobody, group.fills_rows, group.longest


def _computed(group: Group, shares: list[StepOfRun], batches: list[Batch]) -> torch.Tensor:
    """As `compute`. Where memory runs out, in shorter rows from then on."""
    while True:
        try:
            return compute(group.of_each, batches, group.recorded)
        except RuntimeError as error:
            longest = max(len(example.ids) for share in shares for example in share.examples)
            if not is_out_of_memory(error) or group.row_tokens <= longest:
                raise
            group.most_tokens = group.row_tokens // 2
            log.info("memory runs out in steps of several runs; their rows have %d tokens from now on", group.most_tokens)
        group.recorded = group.record = None
        free_cached_memory()
        batches = _lay_out(group, shares)
