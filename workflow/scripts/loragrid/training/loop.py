"""Training on one mix: an explicit loop, so that every token, seed and normalisation can be read off it.

Hugging Face's Trainer and TRL normalise, batch and resume in ways that depend on many settings. We promise two things: each
target weighs the same in a step, however the step is cut up; and an interrupted training ends with the same bytes. A loop of
our own keeps these promises in fewer lines than the settings of Trainer or TRL would need. Devices are left to accelerate.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import math
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm import tqdm

from loragrid.errors import StoppedError, UserError
from loragrid.runtime.job import log
from loragrid.training.checkpoints import Weights, is_sharded, load_checkpoint, save_checkpoint, trained_weights
from loragrid.training.gradients import LaidOut, Layout, accumulate_gradients, lay_out, mean_loss
from loragrid.training.graphs import MOST_WORK, RecordedPasses, Recorder, can_record, facts_of, gpu_recorder, own_stream
from loragrid.training.losses import SummedLoss, plan_loss
from loragrid.training.schedule import make_schedule

if TYPE_CHECKING:
    from accelerate import Accelerator

    from loragrid.training.batches import Batch, Encoded
    from loragrid.training.method import Training
    from loragrid.training.settings import Seeds


class Progress(NamedTuple):
    """One row of `loss.csv`."""

    step: int
    epoch: float
    train_loss: float | None
    validation_loss: float | None
    learning_rate: float
    tokens: int
    seconds: float


class Learner(NamedTuple):
    """A model with all that its training steps need."""

    model: torch.nn.Module
    """Its parameters that require gradients are trained in place."""
    loss: torch.nn.Module
    """The model's loss, wrapped for the devices."""
    optimizer: Any
    config: Training
    layout: Layout
    accelerator: Accelerator
    dtype: torch.dtype
    """Number type of the matrix products."""
    record: Recorder | None = None
    """What records forward passes, so that they are replayed; None: they are not."""


def make_learner(
    model: torch.nn.Module, config: Training, layout: Layout, accelerator: Accelerator, dtype: torch.dtype = torch.float32
) -> Learner:
    """Make a model ready for the steps of its training."""
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    weights = list(trained_weights(model).values())
    # The usual one waits for the GPU twice for each weight.
    on_gpu = bool(weights) and all(weight.is_cuda and weight.dtype == torch.float32 for weight in weights)
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=on_gpu or None)
    plan = plan_loss(model, accelerator.device, dtype, config.kernels, is_sharded(accelerator))
    loss = SummedLoss(model, dtype, config.neftune_alpha, plan)
    if accelerator.distributed_type.value == "DEEPSPEED":
        # Normalised and accumulated here, clipped there.
        settings = accelerator.state.deepspeed_plugin.deepspeed_config
        settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
        settings["train_batch_size"] = accelerator.num_processes
        settings["gradient_clipping"] = config.max_grad_norm or 0.0
    prepared_loss, prepared_optimizer = accelerator.prepare(loss, optimizer)
    record = gpu_recorder(accelerator.device) if can_record(facts_of(model, config, accelerator, plan)) else None
    return Learner(model, prepared_loss, prepared_optimizer, config, layout, accelerator, dtype, record)


def gather_weights(learner: Learner) -> Weights | None:
    """The model's weights if no process holds all of them, else None. All processes must call it."""
    if not is_sharded(learner.accelerator):
        return None
    gathered = learner.accelerator.get_state_dict(learner.loss)
    return {name.removeprefix("model."): tensor for name, tensor in gathered.items()}


class Checkpoints(NamedTuple):
    """Where and how often the state of a training is kept."""

    folder: Path
    minutes: float
    """0: after every step."""
    stop: Callable[[], str] = str
    """Why the training should stop after this step; an empty text if it should go on."""


class Best(NamedTuple):
    """The results of validation so far."""

    loss: float = math.inf
    without_gain: int = 0
    """Validations in a row without a lower loss."""
    weights: Weights = {}  # noqa: RUF012 - never changed
    """The weights with the lowest loss, if they are to be kept."""

    def after(self, loss: float, model: torch.nn.Module, keep: str) -> Best:
        """The best result after one more validation of `model`. A loss that is not a number is no gain."""
        if not loss < self.loss:
            return self._replace(without_gain=self.without_gain + 1)
        weights = {name: p.detach().cpu().clone() for name, p in trained_weights(model).items()} if keep == "best" else {}
        return Best(loss, 0, weights)


def seed_step(seed: int, step: int, process: int) -> None:
    """Make dropout and noise of a step a function of seed, step and process, so that no random state needs to be kept."""
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}/{step}/{process}".encode()).digest()[:7], "big"))


class Due(NamedTuple):
    """An optimiser step that a training is about to take."""

    step: int
    of: int
    """Steps of the whole training."""
    examples: list[Encoded]
    learning_rate: float
    next_examples: list[Encoded]
    """Those of the step behind this one; none behind the last."""


def train(
    learner: Learner,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    seeds: Seeds,
    checkpoints: Checkpoints | None = None,
    follow: Callable[[Progress], None] = lambda row: None,
) -> list[Progress]:
    """Train a model in place; go on from a checkpoint if there is one.

    Args:
        follow: called with each row of the loss curve as soon as it is there.

    Returns:
        The loss curve: a row 0 with the validation loss before training, then a row per step.

    Raises:
        UserError: if there is nothing to learn from, or the loss or a parameter is no longer finite.
        StoppedError: if `checkpoints.stop` gives a reason, after the state is saved.
    """
    with own_stream(learner.accelerator.device) if learner.record else contextlib.nullcontext():
        training = train_by_steps(learner, train_set, validation_set, seeds, checkpoints, follow)
        return _take_steps(training, learner, _recorded_passes(learner, train_set))


def _take_steps(
    training: Generator[Due, torch.Tensor, list[Progress]], learner: Learner, recorded: RecordedPasses | None
) -> list[Progress]:
    try:
        due = next(training)
        laid_out = _lay_out(learner, due.examples, recorded)
        with _progress_bar(due, learner) as bar:
            while True:
                unread_loss = _take_step(learner, laid_out, due.learning_rate, recorded)
                # While a GPU works on this step, the host prepares the next one.
                laid_out = _lay_out(learner, due.next_examples, recorded)
                bar.update()
                due = training.send(unread_loss)
    except StopIteration as end:
        course: list[Progress] = end.value
        return course


def train_by_steps(
    learner: Learner,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    seeds: Seeds,
    checkpoints: Checkpoints | None = None,
    follow: Callable[[Progress], None] = lambda row: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Generator[Due, torch.Tensor, list[Progress]]:
    """A training as `train` does it, but for its optimiser steps, which somebody else takes.

    Args:
        clock: the seconds that the training has taken, from any moment on.

    Yields:
        Each step when it is to be taken. The mean loss per target token before the step is sent back, as a tensor.
    """
    _check_sets(learner, train_set, validation_set)
    config, process = learner.config, learner.accelerator.process_index
    schedule = make_schedule([len(example.ids) for example in train_set], config, seeds.data_order)
    nb_steps = len(schedule.steps)
    validated = schedule.validated if validation_set else set()
    examples = [[train_set[i] for i in indices] for indices in schedule.steps]

    saved = _load(learner, checkpoints)
    if saved is None:
        course, best = _begin(learner, validation_set if validated else [])
        follow(course[0])
    else:
        course, best = saved
        log.info("going on after step %d of %d", course[-1].step, nb_steps)
    started, last_saved = clock() - course[-1].seconds, time.monotonic()
    learner.loss.train()
    for step in range(course[-1].step + 1, nb_steps + 1):
        if config.patience is not None and best.without_gain >= config.patience:
            log.info("stopped early after step %d: no lower validation loss in %d validations", step - 1, best.without_gain)
            break
        seed_step(seeds.data_order, step, process)
        learning_rate = schedule.learning_rates[step - 1]
        unread_loss = yield Due(step, nb_steps, examples[step - 1], learning_rate, examples[step] if step < nb_steps else [])
        loss = _finite(unread_loss, step)
        validation_loss = _validate(learner, validation_set) if step in validated else None
        epoch = round(step / schedule.steps_per_epoch, 4)
        tokens = course[-1].tokens + sum(len(example.ids) for example in examples[step - 1])
        course.append(Progress(step, epoch, loss, validation_loss, learning_rate, tokens, round(clock() - started, 3)))
        follow(course[-1])
        if validation_loss is not None:
            log.info("step %d of %d: training loss %.4f, validation loss %.4f", step, nb_steps, loss, validation_loss)
            best = best.after(validation_loss, learner.model, config.keep)
        if checkpoints and step < nb_steps:
            last_saved = _save_or_stop(learner, checkpoints, last_saved, course, best, nb_steps)
    if validated and not any(math.isfinite(row.validation_loss) for row in course if row.validation_loss is not None):
        raise UserError("the validation loss was never a finite number: try dtype float32, or look into the validation examples.")
    _finish(learner.model, best)
    return course


def _check_sets(learner: Learner, train_set: Sequence[Encoded], validation_set: Sequence[Encoded]) -> None:
    config = learner.config
    if not any(example.nb_targets > 0 for example in train_set):
        raise UserError("there is no target token to train on: the mix is empty or none of its examples fits in max_length.")
    if not validation_set and (config.keep == "best" or config.patience is not None):
        raise UserError("keep: best and patience need validation examples, and the mix has none: set its nb_validation.")
    if config.keep == "best" and is_sharded(learner.accelerator):
        raise UserError("keep: best is not available where the weights are spread over processes; use keep: last.")


def _begin(learner: Learner, validation_set: Sequence[Encoded]) -> tuple[list[Progress], Best]:
    """The loss curve and the best result before the first step."""
    loss = _validate(learner, validation_set) if validation_set else None
    best = Best() if loss is None else Best().after(loss, learner.model, learner.config.keep)
    return [Progress(0, 0.0, None, loss, 0.0, 0, 0.0)], best


def _load(learner: Learner, checkpoints: Checkpoints | None) -> tuple[list[Progress], Best] | None:
    """The loss curve so far and the best result; None if there is no checkpoint."""
    if checkpoints is None:
        return None
    saved = load_checkpoint(checkpoints.folder, learner.accelerator, learner.model, learner.optimizer)
    if saved is None:
        return None
    progress, weights = saved
    course = [Progress(*row) for row in progress["course"]]
    return course, Best(progress["best_loss"], progress["without_gain"], weights)


def _progress_bar(due: Due, learner: Learner) -> Any:
    hidden = not learner.accelerator.is_main_process
    return tqdm(total=due.of, initial=due.step - 1, desc="training", unit="step", mininterval=5, disable=hidden)


def _recorded_passes(learner: Learner, train_set: Sequence[Encoded]) -> RecordedPasses | None:
    """What replays the training's small forward passes, if anything does."""
    if learner.record is None:
        return None

    def add_gradients(batch: Batch, weight: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = learner.loss(batch) * weight
        learner.accelerator.backward(loss)
        return loss.detach()

    most_tokens = MOST_WORK / sum(p.numel() for p in learner.model.parameters())
    longest = max((len(example.ids) for example in train_set), default=1)
    return RecordedPasses(add_gradients, learner.record, learner.accelerator.device, most_tokens, longest, learner.layout.pad)


def _lay_out(learner: Learner, examples: Sequence[Encoded], recorded: RecordedPasses | None) -> LaidOut:
    """The forward passes of a step; none behind the last step."""
    return lay_out(examples, learner.layout, learner.accelerator, recorded) if examples else LaidOut([], [], 0)


def _take_step(learner: Learner, laid_out: LaidOut, learning_rate: float, recorded: RecordedPasses | None) -> torch.Tensor:
    """Take one optimiser step. The host does not wait for a GPU.

    Returns:
        The mean loss per target token before the step, on the device.
    """
    for group in learner.optimizer.param_groups:
        group["lr"] = learning_rate
    loss = accumulate_gradients(learner.loss, laid_out, learner.accelerator, recorded)
    if learner.config.max_grad_norm is not None:
        learner.accelerator.clip_grad_norm_(trained_weights(learner.loss).values(), learner.config.max_grad_norm)
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=recorded is None)
    return loss


def _finite(loss: torch.Tensor, step: int) -> float:
    """The value of a loss. The step may have been taken with it.

    Raises:
        UserError: if it is not finite.
    """
    value = float(loss.item())
    if not math.isfinite(value):
        raise UserError(f"the training loss is {value} at step {step}: try a lower learning_rate, or dtype float32.")
    return value


def _validate(learner: Learner, validation_set: Sequence[Encoded]) -> float:
    return mean_loss(learner.loss, validation_set, learner.layout, learner.accelerator)


def _save_or_stop(
    learner: Learner, checkpoints: Checkpoints, last_saved: float, course: Sequence[Progress], best: Best, nb_steps: int
) -> float:
    """Save the state of a training if it is time to do so, or if the training should stop.

    Args:
        last_saved: the time of the last save.

    Returns:
        The time of the last save.
    """
    accelerator, reason = learner.accelerator, checkpoints.stop()
    is_due = time.monotonic() - last_saved >= 60 * checkpoints.minutes
    is_due, stopping = _any((is_due, bool(reason)), accelerator)
    if is_due or stopping:
        progress = {"course": course, "best_loss": best.loss, "without_gain": best.without_gain}
        save_checkpoint(checkpoints.folder, accelerator, learner.model, learner.optimizer, progress, best.weights)
        last_saved = time.monotonic()
    if stopping:
        reason = _first_reason(reason)
        # The first process that ends makes the others end too.
        accelerator.wait_for_everyone()
        raise StoppedError(f"stopped by {reason} after step {course[-1].step} of {nb_steps}; its state is saved.")
    return last_saved


def _finish(model: torch.nn.Module, best: Best) -> None:
    """Bring back the best weights, if they are kept."""
    weights = trained_weights(model)
    with torch.no_grad():
        for name, weight in best.weights.items():
            weights[name].copy_(weight)
    if not all(torch.isfinite(p).all() for p in weights.values()):
        raise UserError("the trained parameters are not finite: try a lower learning_rate, or dtype float32.")


def _any(values: Sequence[bool], accelerator: Accelerator) -> list[bool]:
    """Which of the values are true in at least one process. All processes get the same answer."""
    counts = accelerator.reduce(torch.tensor(values, dtype=torch.int32, device=accelerator.device), "sum")
    return [bool(count) for count in counts.tolist()]


def _first_reason(own: str) -> str:
    """Why the training stops, the same in all processes: not every process was told, and any may be the one that reports it."""
    from accelerate.utils import gather_object

    reasons: list[str] = gather_object([own])
    return next(filter(None, reasons))


def write_course(path: str | Path, course: Sequence[Progress]) -> None:
    """Write `loss.csv`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Progress._fields)
        writer.writerows(course)
