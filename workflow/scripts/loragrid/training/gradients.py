"""Loss and gradients of one optimiser step, cut into forward passes and shared among processes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.adapters import learns_prompt
from loragrid.models.packed_attention import can_share_beginnings, keep_examples_apart
from loragrid.models.rope import Stretch, stretches_of
from loragrid.models.sequences import FORWARD_COST, cut_into_forward_passes, together
from loragrid.training.batches import Encoded, collate, collate_packed, pack, share

if TYPE_CHECKING:
    from accelerate import Accelerator

    from loragrid.training.methods import Training


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


def choose_layout(model: Any, config: Training, device: torch.device, pad: int, dtype: torch.dtype = torch.float32) -> Layout:
    """The quickest layout that is exact; `model` is made ready for it."""
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


def summed_loss(model: torch.nn.Module, forward: Forward, layout: Layout, accelerator: Accelerator) -> torch.Tensor:
    """Cross-entropy summed over the targets of one forward pass, times its weight."""
    batch = collate_packed(forward.examples, layout.shared) if layout.packed else collate(forward.examples, layout.pad)
    loss: torch.Tensor = model(batch.to(accelerator.device)) * forward.weight
    return loss


def mean_loss(model: torch.nn.Module, examples: Sequence[Encoded], layout: Layout, accelerator: Accelerator) -> float:
    """Mean cross-entropy per target token over all processes, without gradients."""
    training = model.training
    model.eval()
    total = torch.zeros((), device=accelerator.device)
    with torch.no_grad():
        for forward in forward_passes(examples, layout, accelerator):
            total += summed_loss(model, forward, layout, accelerator)
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
    for forward in passes:
        is_last = forward is passes[-1]
        accelerator.sync_gradients = is_last
        with contextlib.nullcontext() if is_last else accelerator.no_sync(model):
            loss = summed_loss(model, forward, layout, accelerator) / nb_targets
            # Gradients are averaged over the processes.
            accelerator.backward(loss * accelerator.num_processes)
        total += loss.detach()
    return float(accelerator.reduce(total, "sum").item())
