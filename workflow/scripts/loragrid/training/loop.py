"""Training on one mix: an explicit loop, so that every token, seed and normalisation can be read off it.

Hugging Face's Trainer and TRL normalise, batch and resume in ways that depend on many settings; what is promised here (each
target weighs the same in a step, however it is cut up; an interrupted training ends with the same bytes) takes fewer lines
than it takes to make them keep it. Devices are left to accelerate.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tqdm import tqdm

from loragrid.errors import UserError
from loragrid.models.adapters import learns_prompt
from loragrid.models.packed_attention import can_share_beginnings, keep_examples_apart
from loragrid.models.sequences import FORWARD_COST, cut_into_forward_passes
from loragrid.runtime.job import log
from loragrid.training.batches import Encoded, collate, collate_packed, pack, share, steps_of
from loragrid.training.checkpoints import Weights, is_sharded, load_checkpoint, save_checkpoint, trained_weights
from loragrid.training.losses import SummedLoss
from loragrid.training.settings import Seeds, Training

if TYPE_CHECKING:
    from accelerate import Accelerator


class Progress(NamedTuple):
    """One row of `loss.csv`."""

    step: int
    epoch: float
    train_loss: float | None
    validation_loss: float | None
    learning_rate: float
    tokens: int
    seconds: float


class Layout(NamedTuple):
    """How examples are laid out in forward passes."""

    max_tokens: int
    packed: bool
    pad: int
    """Id that fills up rows."""
    shared: bool = False
    """Whether a packed row holds only once what its examples all begin with."""


def choose_layout(model: Any, config: Training, device: torch.device, pad: int) -> Layout:
    """The quickest layout that is exact; `model` is made ready for it."""
    max_tokens = config.micro_batch_tokens or (1024 if device.type == "cpu" else 8192)
    base = getattr(model, "get_base_model", lambda: model)()
    # Every example needs a learnt prompt of its own.
    packed = not learns_prompt(model) and keep_examples_apart(base, config.packing, device)
    return Layout(max_tokens, packed, pad, packed and config.neftune_alpha is None and can_share_beginnings(model))


class Checkpoints(NamedTuple):
    """Where and how often the state of a training is kept."""

    folder: Path
    minutes: float
    """0: after every step."""
    stop: Callable[[], str] = str
    """Why the training is to stop after this step; an empty text if it is not."""


class StoppedError(UserError):
    """A training was asked to stop; the next one goes on from there."""


class Best(NamedTuple):
    """What validation has shown so far."""

    loss: float = math.inf
    without_gain: int = 0
    """Validations in a row without a lower loss."""
    weights: Weights = {}  # noqa: RUF012 - never changed
    """Those with the lowest loss, if they are to be kept."""

    def after(self, loss: float, model: torch.nn.Module, keep: str) -> Best:
        """The best there is after one more validation of `model`."""
        if loss >= self.loss:
            return self._replace(without_gain=self.without_gain + 1)
        weights = {name: p.detach().cpu().clone() for name, p in trained_weights(model).items()} if keep == "best" else {}
        return Best(loss, 0, weights)


class Forward(NamedTuple):
    """The examples of one forward pass, and their weight: 0 where a process has none left and only keeps in step."""

    examples: list[Encoded]
    weight: float


def forward_passes(examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> list[Forward]:
    """The forward passes of this process for one optimiser step, or for the validation examples."""
    lengths = [len(example.ids) for example in examples]
    if layout.packed:
        passes = pack(lengths, [e.shareable if layout.shared else [] for e in examples], layout.max_tokens)
    else:
        passes = cut_into_forward_passes(lengths, layout.max_tokens, FORWARD_COST.get(accelerator.device.type, 64))
    shortest = min(examples, key=lambda e: len(e.ids))
    shared = share(passes, lengths, accelerator.process_index, accelerator.num_processes)
    return [Forward([examples[i] for i in one], 1.0) if one else Forward([shortest], 0.0) for one in shared]


def summed_loss(model: torch.nn.Module, one: Forward, layout: Layout, accelerator: Accelerator) -> torch.Tensor:
    """Cross-entropy summed over the targets of one forward pass, times its weight."""
    batch = collate_packed(one.examples, layout.shared) if layout.packed else collate(one.examples, layout.pad)
    loss: torch.Tensor = model(batch.to(accelerator.device)) * one.weight
    return loss


def mean_loss(model: torch.nn.Module, examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> float:
    """Mean cross-entropy per target token over all processes, without gradients."""
    training = model.training
    model.eval()
    total = torch.zeros((), device=accelerator.device)
    with torch.no_grad():
        for one in forward_passes(examples, layout, accelerator):
            total += summed_loss(model, one, layout, accelerator)
    model.train(training)
    return float(accelerator.reduce(total, "sum").item()) / sum(example.nb_targets for example in examples)


def accumulate_gradients(model: torch.nn.Module, examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> float:
    """Add the gradients of the mean loss over all target tokens of one optimiser step.

    However the step is cut into forward passes and shared among processes, each target token has the same weight.

    Returns:
        The mean loss per target token.
    """
    nb_targets = sum(example.nb_targets for example in examples)
    total = torch.zeros((), device=accelerator.device)
    passes = forward_passes(examples, layout, accelerator)
    for one in passes:
        last = one is passes[-1]
        accelerator.gradient_state._set_sync_gradients(last)
        with contextlib.nullcontext() if last else accelerator.no_sync(model):
            loss = summed_loss(model, one, layout, accelerator) / nb_targets
            # Gradients are averaged over the processes.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    return float(accelerator.reduce(total, "sum").item())


def learning_rate_factor(schedule: str, warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """Factor on the highest learning rate as a function of the step, counted from 0."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return {"constant": 1.0, "linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress))}[schedule]

    return factor


def validation_steps(config: Training, nb_steps: int) -> set[int]:
    """The steps after which the validation loss is computed; the last one is among them."""
    if config.validate_every:
        return {*range(config.validate_every, nb_steps, config.validate_every), nb_steps}
    return {round(nb_steps * (i + 1) / config.evaluations) for i in range(config.evaluations)}


def seed_step(seed: int, step: int, process: int) -> None:
    """Make dropout and noise of a step a function of seed, step and process, so that no random state need be kept."""
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{seed}/{step}/{process}".encode()).digest()[:7], "big"))


def train(
    model: torch.nn.Module,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    config: Training,
    seeds: Seeds,
    layout: Layout,
    accelerator: Accelerator,
    dtype: torch.dtype = torch.float32,
    checkpoints: Checkpoints | None = None,
    follow: Callable[[Progress], None] = lambda row: None,
) -> list[Progress]:
    """Train the parameters of `model` that require gradients, in place; go on from a checkpoint if there is one.

    Args:
        dtype: number type of the matrix products.
        follow: is called with each row of the course as it comes.

    Returns:
        The course of the loss, a row per step, before a row 0 with the validation loss before training.

    Raises:
        UserError: where there is nothing to learn from, or the loss or a parameter is no longer finite.
        StoppedError: as `checkpoints.stop` wants it, when the state is saved.
    """
    if not any(example.nb_targets > 0 for example in train_set):
        raise UserError("there is no target token to train on: the mix is empty or none of its examples fits in max_length.")
    if not validation_set and (config.keep == "best" or config.patience is not None):
        raise UserError("keep: best and patience need validation examples, and the mix has none: set its nb_validation.")
    if config.keep == "best" and is_sharded(accelerator):
        raise UserError("keep: best is not available where the weights are spread over processes; use keep: last.")
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]
    optimizer: Any = torch.optim.AdamW(trained_weights(model).values(), lr=config.learning_rate, weight_decay=config.weight_decay)
    loss_model, optimizer = _prepare(SummedLoss(model, dtype, config.neftune_alpha), optimizer, config, accelerator)
    steps, steps_per_epoch = steps_of([len(example.ids) for example in train_set], config, seeds.data_order)
    factor = learning_rate_factor(config.schedule, round(config.warmup_ratio * len(steps)), len(steps))
    validated = validation_steps(config, len(steps)) if validation_set else set()

    def validate() -> float:
        return mean_loss(loss_model, validation_set, layout, accelerator)

    best = Best()
    saved = load_checkpoint(checkpoints.folder, accelerator, model, optimizer) if checkpoints else None
    if saved:
        progress, best_weights = saved
        course = [Progress(*row) for row in progress["course"]]
        best = Best(progress["best_loss"], progress["without_gain"], best_weights)
        log.info("going on after step %d of %d", course[-1].step, len(steps))
    else:
        course = [Progress(0, 0.0, None, validate() if validated else None, 0.0, 0, 0.0)]
        follow(course[0])
        if course[0].validation_loss is not None:
            best = best.after(course[0].validation_loss, model, config.keep)
    started = time.perf_counter() - course[-1].seconds
    last_saved = time.monotonic()
    loss_model.train()
    bar = tqdm(
        total=len(steps),
        initial=course[-1].step,
        desc="training",
        unit="step",
        mininterval=5,
        disable=not accelerator.is_main_process,
    )
    for step in range(course[-1].step + 1, len(steps) + 1):
        if config.patience is not None and best.without_gain >= config.patience:
            log.info("stopped early after step %d: no lower validation loss in %d validations", step - 1, best.without_gain)
            break
        seed_step(seeds.data_order, step, accelerator.process_index)
        examples = [train_set[i] for i in steps[step - 1]]
        learning_rate = config.learning_rate * factor(step - 1)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        loss = accumulate_gradients(loss_model, examples, layout, accelerator)
        if not math.isfinite(loss):
            raise UserError(f"the training loss is {loss} at step {step}: try a lower learning_rate, or dtype float32.")
        if config.max_grad_norm is not None:
            accelerator.clip_grad_norm_(trained_weights(loss_model).values(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        tokens = course[-1].tokens + sum(len(example.ids) for example in examples)
        validation_loss = validate() if step in validated else None
        seconds = round(time.perf_counter() - started, 3)
        course.append(Progress(step, round(step / steps_per_epoch, 4), loss, validation_loss, learning_rate, tokens, seconds))
        follow(course[-1])
        bar.update()
        if validation_loss is not None:
            log.info("step %d of %d: training loss %.4f, validation loss %.4f", step, len(steps), loss, validation_loss)
            best = best.after(validation_loss, model, config.keep)
        if checkpoints and step < len(steps):
            reason = checkpoints.stop()
            due = time.monotonic() - last_saved >= 60 * checkpoints.minutes
            due, stopping = _any((due, bool(reason)), accelerator)
            if due or stopping:
                so_far = {"course": course, "best_loss": best.loss, "without_gain": best.without_gain}
                save_checkpoint(checkpoints.folder, accelerator, model, optimizer, so_far, best.weights)
                last_saved = time.monotonic()
            if stopping:
                bar.close()
                reason = _first_reason(reason)
                # The first process that ends takes the others with it.
                accelerator.wait_for_everyone()
                raise StoppedError(f"stopped by {reason} after step {step} of {len(steps)}; its state is saved.")
    bar.close()
    with torch.no_grad():
        for name, weight in best.weights.items():
            trained_weights(model)[name].copy_(weight)
    if not all(torch.isfinite(p).all() for p in trained_weights(model).values()):
        raise UserError("the trained parameters are not finite: try a lower learning_rate, or dtype float32.")
    return course


def _prepare(model: SummedLoss, optimizer: Any, config: Training, accelerator: Accelerator) -> tuple[Any, Any]:
    if accelerator.distributed_type.value == "DEEPSPEED":
        # Normalised and accumulated here, clipped there.
        settings = accelerator.state.deepspeed_plugin.deepspeed_config
        settings |= {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1}
        settings["train_batch_size"] = accelerator.num_processes
        settings["gradient_clipping"] = config.max_grad_norm or 0.0
    prepared: tuple[Any, Any] = accelerator.prepare(model, optimizer)
    return prepared


def _any(values: Sequence[bool], accelerator: Accelerator) -> list[bool]:
    """Which of the values are true in some process, the same in all processes."""
    counts = accelerator.reduce(torch.tensor(values, dtype=torch.int32, device=accelerator.device), "sum")
    return [bool(count) for count in counts.tolist()]


def _first_reason(own: str) -> str:
    """Why the training stops, the same in all processes: not each was told, and any may have the last word."""
    from accelerate.utils import gather_object

    reasons: list[str] = gather_object([own])
    return next(filter(None, reasons))


def write_course(path: str | Path, course: Sequence[Progress]) -> None:
    """Write `loss.csv`."""
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Progress._fields)
        writer.writerows(course)
