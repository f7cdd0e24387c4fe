"""Forward and backward passes as CUDA graphs: recorded once for each shape of a row, then replayed by a single launch.

A small pass keeps a GPU waiting for the host, which launches some thousand kernels one by one. Rows are filled up, so that few
shapes occur. Clipping and the optimiser stay outside.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.adapters import is_recordable
from loragrid.models.device import chain_of, end_recording, free_cached_memory, is_out_of_memory, room_of
from loragrid.models.packed_attention import attends_by_varlen, draws_at_random
from loragrid.runtime.job import log
from loragrid.training.batches import Batch, fill_up

if TYPE_CHECKING:
    from accelerate import Accelerator

    from loragrid.training.losses import LossPlan
    from loragrid.training.method import Training

Recorder = Callable[[Callable[[], torch.Tensor]], tuple[Callable[[], None], torch.Tensor]]
"""Records what a function computes, on tensors that stay where they are.

It gives a function that computes it anew, and the tensor in which its result then is. To record computes nothing.
"""

Shape = tuple[int, int, int, int | None]
"""On what a recording depends: tokens, targets, bounds and the longest sequence of a row."""

MOST_WORK = 2e13
"""Parameters times tokens of a row up to which a GPU waits for the host: on an H200, with 8e9 parameters, rows of 1,600 tokens
gained by graphs, and rows of 6,300 did not."""

MOST_GRAPHS = 64
"""Further shapes are not recorded. Each graph takes some memory and a second to record."""


class Facts(NamedTuple):
    """On what it depends whether passes can be recorded."""

    on_gpu: bool
    alone: bool
    """Whether one process trains, with all weights."""
    by_varlen: bool
    """Whether the kernel for packed rows computes attention: only its work has the same shape for all rows of a shape."""
    fused_loss: bool
    """Whether output layer and loss are computed in one: only there targets can be ignored."""
    draws_at_random: bool
    recomputes: bool
    """Whether activations are computed again in the backward pass."""
    is_quantized: bool
    has_experts: bool
    """Whether tokens are sent to experts, whose work has other shapes each time."""
    is_recordable: bool
    """Whether the adapter computes the same operators each time."""


def can_record(facts: Facts) -> bool:
    """Whether forward and backward passes can be recorded, and stay right when they are replayed."""
    obstacles = facts.draws_at_random or facts.recomputes or facts.is_quantized or facts.has_experts
    needed = facts.on_gpu and facts.alone and facts.by_varlen and facts.fused_loss and facts.is_recordable
    return needed and not obstacles


def facts_of(model: Any, config: Training, accelerator: Accelerator, plan: LossPlan) -> Facts:
    """The facts about a model that is ready to be trained."""
    base = getattr(model, "get_base_model", lambda: model)()
    return Facts(
        on_gpu=accelerator.device.type == "cuda",
        # A scaler of gradients looks at them in each step.
        alone=accelerator.distributed_type.value == "NO" and accelerator.scaler is None,
        by_varlen=attends_by_varlen(base),
        fused_loss=plan.fused is not None,
        draws_at_random=config.neftune_alpha is not None or draws_at_random(model),
        recomputes=config.gradient_checkpointing,
        is_quantized=getattr(base, "hf_quantizer", None) is not None or getattr(base, "is_quantized", False),
        has_experts=any(
            re.search("expert|moe", f"{name} {type(module).__name__}".lower()) for name, module in base.named_modules()
        ),
        is_recordable=is_recordable(model),
    )


class RecordedPasses:
    """Forward and backward passes of one training, replayed where their shape comes back.

    A shape is computed as usual when it is first met, recorded when it is met again, and replayed from then on. Gradients are
    added to tensors that stay where they are: they must not be set to None between steps.
    """

    def __init__(
        self,
        add_gradients: Callable[[Batch, torch.Tensor], torch.Tensor],
        record: Recorder,
        device: torch.device,
        most_tokens: float,
        longest: int,
        pad: int,
    ):
        """Nothing is recorded yet.

        Args:
            add_gradients: adds the gradients of a batch's loss times a scalar, and returns this product; all on the device.
            most_tokens: larger rows are not recorded.
            longest: no example has more tokens.
            pad: id that fills up rows.
        """
        self._add_gradients = add_gradients
        self._record: Recorder | None = record
        self._device = device
        self._most_tokens = most_tokens
        self._longest = longest
        self._pad = pad
        self._met: set[Shape] = set()
        self._recordings: dict[Shape, _Recording] = {}

    def fill_up(self, batch: Batch) -> Batch:
        """A row as it is to be computed: filled up, unless it is too large."""
        return batch if batch.input_ids.shape[1] > self._most_tokens else fill_up(batch, self._pad, self._longest)

    def takes(self, batch: Batch) -> bool:
        """Whether `run` is meant to compute a batch."""
        return batch.longest is not None

    def run(self, batch: Batch, weight: float) -> torch.Tensor:
        """Add the gradients of a row's summed loss times a weight.

        Args:
            batch: a row that was filled up, not on the device.

        Returns:
            The weighted loss, on the device. The next call may overwrite it.
        """
        shape = _shape(batch)
        if shape not in self._recordings and shape in self._met and len(self._recordings) < MOST_GRAPHS:
            self._try_to_record(shape, batch)
        self._met.add(shape)
        if (recording := self._recordings.get(shape)) is None:
            return self._add_gradients(batch.to(self._device), torch.full((), weight, device=self._device))
        _copy(batch, recording.batch)
        recording.weight.fill_(weight)
        recording.replay()
        return recording.loss

    def _try_to_record(self, shape: Shape, batch: Batch) -> None:
        if self._record is None:
            return
        mine, weight = batch.to(self._device), torch.ones((), device=self._device)
        try:
            replay, loss = self._record(lambda: self._add_gradients(mine, weight))
        except RuntimeError as error:
            log.info("no more forward passes are recorded as CUDA graphs: %s", error)
            self._record = None
            if any(map(is_out_of_memory, chain_of(error))):
                self._recordings.clear()
                free_cached_memory()
            return
        if not self._recordings:
            log.info("forward passes are recorded as CUDA graphs")
        self._recordings[shape] = _Recording(mine, weight, replay, loss)


class _Recording(NamedTuple):
    batch: Batch
    """What is read, on the device."""
    weight: torch.Tensor
    replay: Callable[[], None]
    loss: torch.Tensor


def _shape(batch: Batch) -> Shape:
    assert batch.bounds is not None
    return batch.input_ids.shape[1], len(batch.targets), len(batch.bounds), batch.longest


def _copy(batch: Batch, into: Batch) -> None:
    for its, mine in zip(batch, into, strict=True):
        if isinstance(its, torch.Tensor) and isinstance(mine, torch.Tensor):
            mine.copy_(its.pin_memory() if mine.is_cuda else its, non_blocking=True)


def fits_twice(at_rest: int, peak: int, room: int) -> bool:
    """Whether what a pass takes fits beside what graphs keep for passes of the same size. All in bytes.

    Args:
        at_rest: what the model and its optimiser take between passes.
        peak: the most that was taken so far.
        room: all that there is. A tenth is left free, for pieces between blocks.
    """
    return at_rest + 2 * (peak - at_rest) <= 0.9 * room


def gpu_recorder(device: torch.device) -> Recorder:
    """A recorder of CUDA graphs that share their memory. Nothing can be recorded on the default stream; see `own_stream`.

    It raises a RuntimeError if the memory does not suffice for graphs and for passes that are not recorded.
    """
    pool: Any = torch.cuda.graph_pool_handle()

    def record(function: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        used, peak = torch.cuda.memory_allocated(device), torch.cuda.max_memory_allocated(device)
        if not fits_twice(used, peak, room_of(device)):
            raise RuntimeError(f"they would keep {(peak - used) / 2**30:.1f} GiB more of the GPU's memory, and it is too small")
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=torch.cuda.current_stream()):
                result = function()
        except RuntimeError:
            end_recording(device, pool)
            raise
        return graph.replay, result

    return record


@functools.cache
def _own_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all trainings of a process: libraries keep memory for each stream."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """Let a GPU do its work in another order of its own than the default one, in which nothing can be recorded."""
    if device.type != "cuda":
        yield
        return
    before, stream = torch.cuda.current_stream(device), _own_stream(device)
    stream.wait_stream(before)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        before.wait_stream(stream)
