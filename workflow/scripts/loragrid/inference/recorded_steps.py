"""Decoding on a GPU: a step computes in the same place each time, so that it is recorded once and then repeated as a CUDA graph.

Without a graph, a step launches hundreds of kernels one by one, and the GPU waits for the host most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple
from weakref import WeakSet

import torch

from loragrid.inference.choice import choose_tokens, make_choice
from loragrid.inference.from_cache import Answers, KeyValues, Sequenced, add_tokens, read_prompts
from loragrid.inference.protocol import Decoding
from loragrid.inference.row_adapters import RowAdapters
from loragrid.models.adapters import is_recordable
from loragrid.models.device import chain_of, end_recording, is_out_of_memory
from loragrid.runtime.job import log

_LOOK_EVERY = 8
"""Steps between two looks of the host at the new tokens."""

_POSITIONS = 16
"""The capacity of a cache is a multiple of so many positions."""

_WORTH_RECORDING, _WORTH_DROPPING = 8, 32
"""So many tokens may have to follow, at least, for a step to be recorded, and for finished rows to be dropped.

On an H200, recording took as long as 5 to 10 usual steps, and half as many rows saved a tenth of a usual step each time.
"""

Step = Callable[[], None]
"""It reads and writes the same tensors each time, in the same shapes."""

Recorder = Callable[[Step], Step]
"""Takes a step once, and gives what repeats it."""

_unrecorded: WeakSet[torch.nn.Module] = WeakSet()
"""Models whose steps are not recorded, as the log told."""


class _Batch(NamedTuple):
    """What a step reads and writes."""

    cache: KeyValues
    lengths: torch.Tensor
    """Shape (rows,): tokens of each sequence in the cache."""
    token: torch.Tensor
    """Shape (rows,): the last token of each, which is not yet in the cache."""
    logits: torch.Tensor
    """Shape (rows, vocabulary): what a step found, if the host chooses."""
    found: torch.Tensor
    """Shape (rows, _LOOK_EVERY): tokens since the host looked, if the GPU chooses; -1 where the logits were no numbers."""
    number: torch.Tensor
    """Shape (1,): how many there are."""


def recorder_of(model: Any) -> Recorder | None:
    """How steps of a model are repeated; None where the host leads each of them, as on a CPU."""
    if model.device.type != "cuda" or torch.version.hip:
        return None
    if model not in _unrecorded and (why := _why_not_recorded(model)):
        _never_record(model, why)
    return take_step if model in _unrecorded else _recorder(model)


def _never_record(model: torch.nn.Module, why: str) -> None:
    log.info("decoding steps are not recorded: %s", why)
    _unrecorded.add(model)


def _why_not_recorded(model: Any) -> str:
    """Why no CUDA graph is made of a model's steps, as part of a sentence; empty if one is made."""
    if getattr(model, "is_quantized", False):
        return "the weights are quantized"
    if not is_recordable(model):
        return "the adapter's method may wait for the GPU on the way"
    if any("expert" in key and value for key, value in model.config.get_text_config().to_dict().items()):
        return "which experts a token needs shows only on the way"
    return ""


def take_step(step: Step) -> Step:
    """Take a step, to be repeated by calling it again."""
    step()
    return step


def _recorder(model: Any) -> Recorder:
    """Recorder of CUDA graphs."""

    def record(step: Step) -> Step:
        if model in _unrecorded:
            return take_step(step)
        usual, side = torch.cuda.current_stream(), _side_stream()
        side.wait_stream(usual)
        with torch.cuda.stream(side):
            # As a usual step first: libraries load and kernels are chosen.
            step()
        torch.cuda.synchronize()
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=side):
                step()
        except RuntimeError as error:
            # PyTorch leaves the stream only if the recording can be ended.
            torch.cuda.set_stream(usual)
            end_recording(model.device, pool)
            # A new error: one that a variable here knows would keep the batch in memory.
            if any(map(is_out_of_memory, chain_of(error))):
                raise torch.OutOfMemoryError("out of memory while a step was recorded") from None
            *_, first = map(str, chain_of(error))
            _never_record(model, first.partition("\n")[0])
            return step
        torch.cuda.synchronize()
        return graph.replay

    return record


@cache
def _side_stream() -> torch.cuda.Stream:
    """The stream of all recordings: each stream that multiplies matrices keeps memory of its own for it."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


def decode_in_steps(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    ends: set[int],
    draws: Sequence[torch.Generator],
    is_stopped: Callable[[list[int]], bool],
    started: float,
    record: Recorder,
    adapters: RowAdapters | None = None,
) -> list[Sequenced]:
    """The tokens that follow each prompt. For the arguments, see `generate_together`.

    If the most likely token is taken each time, the GPU chooses, and the host looks at the tokens only now and then. What a
    sequence got behind its end is thrown away. Otherwise the host needs the logits of each step.

    Raises:
        UserError: if logits are not numbers.
    """
    answers, rows = Answers(len(prompts), decoding, ends, is_stopped, started), list(range(len(prompts)))

    def choose(logits: torch.Tensor, number: int) -> torch.Tensor:
        choice = make_choice(decoding, sorted(ends), [draws[i] for i in rows])
        return choose_tokens(choice, decoding, [(prompts[i], answers.new[i]) for i in rows], logits, number)

    greedy = not decoding.temperature and decoding.repetition_penalty == 1 and decoding.min_new_tokens <= 1
    batch = _read(model, prompts, decoding.max_new_tokens, adapters)
    batch.token.copy_(choose(batch.logits, 0))
    tokens, repeat, left = batch.token[:, None].tolist(), None, decoding.max_new_tokens
    while True:
        for i, of_row in zip(rows, tokens, strict=True):
            answers.add(i, of_row)
        if not answers.running:
            return answers.sequenced()
        left -= len(tokens[0])
        if 2 * len(answers.running) <= len(rows) and left >= _WORTH_DROPPING:
            # The recording keeps memory, so it goes first.
            repeat, kept = None, [j for j, i in enumerate(rows) if i in answers.running]
            batch, rows = _keep(batch, torch.tensor(kept, device=model.device)), [rows[j] for j in kept]
        step, recorder = partial(_step, model, batch, greedy), record if left >= _WORTH_RECORDING else take_step
        count = min(_LOOK_EVERY, left) if greedy else 1
        for _ in range(count):
            repeat = recorder(step) if repeat is None else _again(repeat)
        if greedy:
            tokens = batch.found[:, :count].tolist()
            batch.number.zero_()
        else:
            batch.token.copy_(choose(batch.logits, decoding.max_new_tokens - left))
            tokens = batch.token[:, None].tolist()


def _again(repeat: Step) -> Step:
    repeat()
    return repeat


def _read(model: Any, prompts: Sequence[Sequence[int]], max_new_tokens: int, adapters: RowAdapters | None) -> _Batch:
    """A batch whose prompts are read."""
    capacity = -(-(max(map(len, prompts)) + max_new_tokens) // _POSITIONS) * _POSITIONS
    cache = KeyValues(len(prompts), capacity, model.device, static=True, adapters=adapters)
    logits = read_prompts(model, prompts, cache)
    return _laid_out(cache, torch.tensor([len(prompt) for prompt in prompts], device=model.device), logits)


def _laid_out(cache: KeyValues, lengths: torch.Tensor, logits: torch.Tensor) -> _Batch:
    cache.lengths = lengths
    return _Batch(
        cache, lengths, torch.zeros_like(lengths), logits, lengths.new_zeros(len(lengths), _LOOK_EVERY), lengths.new_zeros(1)
    )


def _keep(batch: _Batch, rows: torch.Tensor) -> _Batch:
    """The batch without all other rows."""
    batch.cache.keep(rows)
    kept = _laid_out(batch.cache, batch.lengths[rows], batch.logits[rows])
    kept.token.copy_(batch.token[rows])
    return kept


def _step(model: Any, batch: _Batch, greedy: bool) -> None:
    """Add one token to each sequence. Nothing here may depend on numbers that are on the device."""
    # Masks belong to one step. They may be there of a recording that failed, and would keep a recording's memory.
    batch.cache.allowed = {}
    logits = add_tokens(model, batch.token, batch.cache)
    batch.cache.allowed = {}
    batch.lengths.add_(1)
    if not greedy:
        batch.logits.copy_(logits)
        return
    best = logits.argmax(-1, keepdim=True)
    # The largest of several numbers is no number if one of them is none.
    found = best.masked_fill(logits.gather(1, best).isnan(), -1)
    batch.found.index_copy_(1, batch.number, found)
    batch.number.add_(1)
    batch.token.copy_(best[:, 0])
