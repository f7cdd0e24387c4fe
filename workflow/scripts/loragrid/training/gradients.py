"""Loss and gradients of one optimiser step, cut into forward passes and shared among processes."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.adapters import learns_prompt
from loragrid.models.packed_attention import can_share_beginnings, keep_examples_apart
from loragrid.models.rope import Stretch, stretches_of
from loragrid.models.sequences import FORWARD_COST, cut_into_forward_passes, together
from loragrid.training.batches import Batch, Encoded, collate, collate_packed, pack, share

if TYPE_CHECKING:
    from accelerate import Accelerator

    from loragrid.training.graphs import RecordedPasses
    from loragrid.training.method import Training


class Layout(NamedTuple):
    """How examples are laid out in forward passes."""

    max_tokens: int
    packed: bool
    pad: int
    """Id that fills up rows."""
    shared: bool = False
    """Whether a packed row holds the common beginning of its examples only once."""
    stretches: Sequence[Stretch] = ()
    """How the encoding of positions changes with the length of an example."""


def choose_layout(model: Any, config: Training, device: torch.device, pad: int, dtype: torch.dtype) -> Layout:
    """The quickest layout that is exact; `model` is made ready for it.

    Args:
        pad: id that fills up rows.
        dtype: number type of the matrix products.
    """
    max_tokens = config.micro_batch_tokens or (1024 if device.type == "cpu" else 8192)
    base = getattr(model, "get_base_model", lambda: model)()
    # Every example needs a learnt prompt of its own.
    packed = not learns_prompt(model) and keep_examples_apart(base, config.packing, device, dtype)
    shared = packed and config.neftune_alpha is None and can_share_beginnings(model)
    return Layout(max_tokens, packed, pad, shared, stretches_of(model))


class Forward(NamedTuple):
    """The examples of one forward pass, and their weight: 0 if a process has no examples left and only keeps in step."""

    examples: list[Encoded]
    weight: float


def forward_passes(examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> list[Forward]:
    """The forward passes of this process for one optimiser step, or for the validation examples."""
    lengths = [len(example.ids) for example in examples]
    passes = []
    for alike in together(lengths, layout.stretches):
        cut = _cut([examples[i] for i in alike], layout, accelerator.device)
        passes += [[alike[i] for i in one] for one in cut]
    shortest = min(examples, key=lambda e: len(e.ids))
    own = share(passes, lengths, accelerator.process_index, accelerator.num_processes)
    return [Forward([examples[i] for i in indices], 1.0) if indices else Forward([shortest], 0.0) for indices in own]


def _cut(examples: Sequence[Encoded], layout: Layout, device: torch.device) -> list[list[int]]:
    """Forward passes of examples that may share one: the indices of each pass's examples."""
    lengths = [len(example.ids) for example in examples]
    if layout.packed:
        return pack(lengths, [e.shareable if layout.shared else [] for e in examples], layout.max_tokens)
    return cut_into_forward_passes(lengths, layout.max_tokens, FORWARD_COST.get(device.type, 64))


def _collated(examples: Sequence[Encoded], layout: Layout) -> Batch:
    return collate_packed(examples, layout.shared) if layout.packed else collate(examples, layout.pad)


def mean_loss(model: torch.nn.Module, examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> float:
    """Mean cross-entropy per target token over all processes, without gradients."""
    training = model.training
    model.eval()
    total = torch.zeros((), device=accelerator.device)
    with torch.no_grad():
        for forward in forward_passes(examples, layout, accelerator):
            total += model(_collated(forward.examples, layout).to(accelerator.device)) * forward.weight
    model.train(training)
    return float(accelerator.reduce(total, "sum").item()) / sum(example.nb_targets for example in examples)


class LaidOut(NamedTuple):
    """The forward passes of this process for one optimiser step, not yet on the device."""

    batches: list[Batch]
    weights: list[float]
    """Of each batch: 1, or 0 if it only keeps this process in step."""
    nb_targets: int
    """Of the whole step, in all processes."""


def lay_out(
    examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator, recorded: RecordedPasses | None = None
) -> LaidOut:
    """Lay out one optimiser step: the work of the host, which needs no device.

    Args:
        recorded: what replays forward passes, if anything does; its batches have few shapes.
    """
    passes = forward_passes(examples, layout, accelerator)
    batches = [_collated(forward.examples, layout) for forward in passes]
    if recorded:
        batches = [recorded.fill_up(batch) for batch in batches]
    return LaidOut(batches, [forward.weight for forward in passes], sum(example.nb_targets for example in examples))


def accumulate_gradients(
    model: torch.nn.Module, step: LaidOut, accelerator: Accelerator, recorded: RecordedPasses | None = None
) -> torch.Tensor:
    """Add the gradients of the mean loss over all target tokens of one optimiser step.

    However the step is cut into forward passes and shared among processes, each target token has the same weight. The host does
    not wait for a GPU.

    Args:
        recorded: what replays forward passes, if anything does.

    Returns:
        The mean loss per target token, on the device.
    """
    total = torch.zeros((), device=accelerator.device)
    last = len(step.batches) - 1
    for index, (batch, weight) in enumerate(zip(step.batches, step.weights, strict=True)):
        accelerator.sync_gradients = index == last
        if recorded and recorded.takes(batch):
            total += recorded.run(batch, weight / step.nb_targets if step.nb_targets else math.nan)
            continue
        with contextlib.nullcontext() if index == last else accelerator.no_sync(model):
            loss = model(batch.to(accelerator.device)) * weight / step.nb_targets
            # Gradients are averaged over the processes.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    reduced: torch.Tensor = accelerator.reduce(total, "sum")
    return reduced
