"""Runs whose optimiser steps are taken together: how each gets ready, gets its place among the others, and leaves it."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from loragrid.data.render import Renderer, load_renderer, pad_token
from loragrid.errors import UserError
from loragrid.models.device import pick_dtype, type_name
from loragrid.models.fused_kernels import use_fused_kernels
from loragrid.models.loading import LoadBase, padding_id, refuse_ids_without_embedding
from loragrid.models.several_adapters import Parts, Place, SeveralAdapters, parts_of, rank_of, why_not_several
from loragrid.runtime.job import log
from loragrid.training.batches import Batch, EncodedMix
from loragrid.training.gradients import Layout
from loragrid.training.graphs import MOST_WORK, RecordedPasses, Recorder, can_record, facts_of, gpu_recorder
from loragrid.training.job import make_accelerator, read_mix, told_to_stop, trackers_folder_of, try_model
from loragrid.training.loop import Checkpoints, Due, Learner, Progress, train_by_steps
from loragrid.training.losses import plan_loss
from loragrid.training.schedule import steps_of
from loragrid.training.settings import TrainingJob
from loragrid.training.shared_steps import LossOfEach, LossOfRun, OptimizerOfRun, add_gradients
from loragrid.training.trackers import tracked

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel


class Account:
    """The seconds that a run has taken: those of its own work, and its share of those for several."""

    def __init__(self) -> None:
        self._spent = 0.0
        self._since: float | None = None

    def seconds(self) -> float:
        """So far."""
        return self._spent + (0.0 if self._since is None else time.perf_counter() - self._since)

    def add(self, seconds: float) -> None:
        """Add a share of work for several."""
        self._spent += seconds

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Work for this run only."""
        self._since = time.perf_counter()
        try:
            yield
        finally:
            self._spent, self._since = self.seconds(), None


class ReadyRun(NamedTuple):
    """A training whose examples are read, and which has no model yet."""

    job: TrainingJob
    state: Path
    accelerator: Accelerator
    renderer: Renderer
    mix: EncodedMix
    account: Account

    @property
    def step_tokens(self) -> float:
        """Tokens of a step, on average."""
        lengths = [len(example.ids) for example in self.mix.train]
        return sum(lengths) / max(1, steps_of(lengths, self.job.settings.config, 0)[1]) if lengths else 0.0

    @property
    def kind(self) -> tuple[str, ...]:
        """What trainings have in common that share steps."""
        settings = self.job.settings
        return str(self.job.model_folder.resolve()), settings.model.dtype, settings.config.kernels


@contextlib.contextmanager
def told_of(job: TrainingJob) -> Iterator[None]:
    """Let the log say of which run the lines of the block are."""
    name = job.settings.run.name.replace("%", "%%")

    def begin(record: logging.LogRecord) -> bool:
        # A block within a block says it once.
        if not hasattr(record, "of_run"):
            record.of_run = name
            record.msg = f"{name}: {record.msg}"
        return True

    log.addFilter(begin)
    try:
        yield
    finally:
        log.removeFilter(begin)


def make_ready(job: TrainingJob, state: Path) -> ReadyRun:
    """Read the examples of a training.

    Raises:
        UserError: if it cannot be trained.
    """
    account = Account()
    with account.working():
        settings = job.settings
        if settings.model.dtype == "float16":
            name = settings.run.base_model
            raise UserError(f"models.{name}.dtype: float16 is for prediction only; train in bfloat16 or float32.")
        accelerator = make_accelerator(job, trackers_folder_of(job))
        renderer = load_renderer(job.model_folder, settings.model)
        mix = read_mix(job, renderer)
        return ReadyRun(job, state, accelerator, renderer, mix, account)


@dataclass
class Member:
    """A run that shares its steps with others."""

    ready: ReadyRun
    learner: Learner
    parts: Parts
    place: Place
    loss: LossOfRun
    optimizer: OptimizerOfRun
    training: Generator[Due, torch.Tensor, list[Progress]]
    around: contextlib.ExitStack
    """What is closed when the run ends."""
    due: Due | None = None
    """The step that it is about to take."""


@dataclass
class Group:
    """A base model, and the runs that share it."""

    base: PreTrainedModel
    kind: tuple[str, ...]
    layout: Layout
    dtype: torch.dtype
    device: torch.device
    record: Recorder | None
    of_each: LossOfEach
    members: list[Member] = field(default_factory=list)
    recorded: RecordedPasses | None = None
    longest: int = 0
    """No example of any run so far has more tokens."""
    most_tokens: int | None = None
    """Of a row, since the memory did not suffice for more."""

    @property
    def several(self) -> SeveralAdapters:
        return self.of_each.several

    @property
    def row_tokens(self) -> int:
        """Tokens of a row, at most: the lowest limit of all runs."""
        limits = [member.learner.layout.max_tokens for member in self.members] or [self.layout.max_tokens]
        return min([*limits, *([self.most_tokens] if self.most_tokens else [])])

    @property
    def fills_rows(self) -> bool:
        """Whether rows are filled up, so that few shapes occur: where they are recorded, and so small that a GPU waits."""
        return self.recorded is not None and self.row_tokens * self.base.num_parameters() <= MOST_WORK


def open_group(ready: ReadyRun, load: LoadBase) -> Group:
    """The base model for the steps of several runs, made ready as for the first of them. It has no members yet."""
    job, device, config = ready.job, ready.accelerator.device, ready.job.settings.config
    dtype = pick_dtype(job.settings.model.dtype, device)
    base = load(job.model_folder, type_name(dtype), "none", device)
    if config.kernels == "auto":
        use_fused_kernels(base, device)
    base.requires_grad_(False)
    layout = try_model(job, base, ready.accelerator, padding_id(base, pad_token(ready.renderer)), dtype)
    plan = plan_loss(base, device, dtype, config.kernels, is_sharded=False)
    record = gpu_recorder(device) if can_record(facts_of(base, config, ready.accelerator, plan)) else None
    of_each = LossOfEach(base, SeveralAdapters(base, []), dtype, plan)
    return Group(base, ready.kind, layout, dtype, device, record, of_each)


def adapter_of(ready: ReadyRun, group: Group, load: LoadBase) -> tuple[torch.nn.Module, str]:
    """A model with a run's fresh adapter, in which nothing is computed; and why it cannot share steps, if it cannot."""
    job = ready.job
    base = load(job.model_folder, type_name(group.dtype), "none", group.device)
    examples = (*ready.mix.train, *ready.mix.validation)
    refuse_ids_without_embedding(base, ready.renderer.tokenizer, (example.ids for example in examples))
    model = job.settings.config.make_trainable(base, job.settings.seeds.adapter_init)
    return model, why_not_several(model)


def join(group: Group, ready: ReadyRun, model: torch.nn.Module, signalled: Callable[[], str]) -> Member:
    """Give a run a place in a group. It has not begun.

    Args:
        model: with the run's adapter.
        signalled: gives the signal on which all should stop.
    """
    job, config = ready.job, ready.job.settings.config
    parts = parts_of(model)
    group.longest = max([group.longest, *(len(example.ids) for example in ready.mix.train)])
    if group.several.room_for(parts) is None:
        _make_room(group, parts)
    if group.record and not group.recorded:
        group.recorded = _recorded_passes(group, group.record)
    place = group.several.put(parts)
    optimizer = OptimizerOfRun(model, config)
    optimizer.take_rows(group.several, place)
    layout = group.layout._replace(max_tokens=config.micro_batch_tokens or group.layout.max_tokens)
    loss = LossOfRun(group.of_each, place.start)
    learner = Learner(model, loss, optimizer, config, layout, ready.accelerator, group.dtype)
    around = contextlib.ExitStack()
    told = job.settings.model_dump(include={"run", "config", "seeds"})
    follow = around.enter_context(tracked(ready.accelerator, trackers_folder_of(job), told))
    checkpoints = Checkpoints(ready.state, job.checkpoint_minutes, lambda: signalled() or told_to_stop(ready.state))
    sets = ready.mix.train, ready.mix.validation
    training = train_by_steps(learner, *sets, job.settings.seeds, checkpoints, follow, ready.account.seconds)
    member = Member(ready, learner, parts, place, loss, optimizer, training, around)
    group.members.append(member)
    return member


def leave(group: Group, member: Member) -> None:
    """Free a run's place. The run's model keeps the weights as they are now."""
    group.members.remove(member)
    member.training.close()
    member.optimizer.release()
    group.several.take_away(member.place)
    member.around.close()


def _make_room(group: Group, parts: Parts) -> None:
    """Lay out all adapters of a group anew, so that one more has room. What was recorded reads the former places."""
    states = [member.optimizer.state_dict() for member in group.members]
    for member in group.members:
        member.optimizer.release()
    group.several.remove()
    adapters = [*(member.parts for member in group.members), parts]
    ranks = max(group.several.ranks, sum(map(rank_of, adapters)))
    group.recorded = None
    group.of_each.several = SeveralAdapters(group.base, adapters, ranks, trained=True)
    for member, state in zip(group.members, states, strict=True):
        member.place = group.several.put(member.parts)
        member.loss.owner = member.place.start
        member.optimizer.take_rows(group.several, member.place)
        member.optimizer.load_state_dict(state)


def _recorded_passes(group: Group, record: Recorder) -> RecordedPasses:
    def add(batch: Batch, weight: torch.Tensor) -> torch.Tensor:
        return add_gradients(group.of_each, batch)

    return RecordedPasses(add, record, group.device, math.inf, group.longest, group.layout.pad)
