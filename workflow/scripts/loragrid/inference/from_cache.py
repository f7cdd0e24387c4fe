"""Prompts without padding, and a cache of keys and values in which each sequence has a row of its own.

This is for models whose attention is plain. On a GPU, PyTorch's kernel reads whole prompts at once, in the number types that it
knows. Otherwise attention is computed prompt by prompt, and what all prompts begin with is read once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate, count
from typing import Any, NamedTuple, Self

import torch

from loragrid.errors import UserError
from loragrid.inference.choice import NO_NUMBERS, choose_tokens, make_choice
from loragrid.inference.protocol import Decoding
from loragrid.inference.row_adapters import RowAdapters
from loragrid.models.adapters import learns_prompt
from loragrid.models.packed_attention import attends_plainly, use_attention
from loragrid.models.plain_attention import attention_of
from loragrid.models.sequences import common_length
from loragrid.models.varlen import can_varlen, fits_kernel, varlen

FROM_CACHE = "loragrid_from_cache"
"""Name of this implementation of attention, as transformers calls it."""


_ROW_TOKENS, _KERNEL_ROW_TOKENS = 2048, 16384
"""Maximum number of tokens of a row of prompts, unless a single prompt has more: prompt by prompt, and by the kernel."""


class Sequenced(NamedTuple):
    """The tokens that a model gave for one prompt."""

    token_ids: list[int]
    compute_s: float
    """Seconds from the start of the batch until its last token was there, or until the host saw it."""


class Answers:
    """The tokens of each answer so far."""

    def __init__(
        self, number: int, decoding: Decoding, ends: Collection[int], is_stopped: Callable[[list[int]], bool], started: float
    ) -> None:
        self.new: list[list[int]] = [[] for _ in range(number)]
        self.running = set(range(number))
        """The answers that have not ended."""
        self._seconds = [0.0] * number
        self._most, self._ends, self._is_stopped, self._started = decoding.max_new_tokens, ends, is_stopped, started

    def add(self, i: int, tokens: Iterable[int]) -> None:
        """Add tokens to one answer, up to its end.

        Raises:
            UserError: if a token is -1: the logits were no numbers.
        """
        new = self.new[i]
        for token in tokens if i in self.running else ():
            if token < 0:
                raise UserError(NO_NUMBERS)
            new.append(token)
            if token in self._ends or len(new) == self._most or self._is_stopped(new):
                self.running.discard(i)
                self._seconds[i] = time.perf_counter() - self._started
                break

    def sequenced(self) -> list[Sequenced]:
        return [Sequenced(*of_one) for of_one in zip(self.new, self._seconds, strict=True)]


class _Tokens(NamedTuple):
    """Where the tokens of prompts that stand in a row belong in the cache."""

    rows: torch.Tensor
    """The cache's row of each token."""
    positions: torch.Tensor
    """The position of each token there."""

    @classmethod
    def of(cls, rows: Iterable[int], positions: Iterable[int], device: torch.device) -> Self:
        return cls(torch.tensor(list(rows), device=device), torch.tensor(list(positions), device=device))


class _KernelRow(NamedTuple):
    """A row of whole prompts for the kernel."""

    bounds: torch.Tensor
    """int32, shape (prompts + 1,): where each prompt starts, and where the last one ends."""
    longest: int
    tokens: _Tokens


class KeyValues:
    """Keys and values of a batch: each sequence in a row of its own, from its first token on."""

    def __init__(
        self, rows: int, capacity: int, device: torch.device, static: bool = False, adapters: RowAdapters | None = None
    ) -> None:
        """Make an empty cache.

        Args:
            static: whether each pass that adds tokens computes in the same shapes: it looks over the whole capacity.
            adapters: which adapter each row goes through, if several are on the model.
        """
        self.rows, self.capacity, self.static, self.adapters = rows, capacity, static, adapters
        self.every = torch.arange(rows, device=device)
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.arriving: list[tuple[int, int, int]] = []
        """For each prompt in the next forward pass: its row, its first position there, and the position behind its last."""
        self.kernel_row: _KernelRow | None = None
        """The next forward pass, if the kernel computes its attention."""
        self.lengths: torch.Tensor | None = None
        """Shape (rows,): tokens of each sequence before the next forward pass, which adds one each. None: prompts are read."""
        self.allowed: dict[int | None, torch.Tensor] = {}
        """By sliding window, the positions that the added tokens may see: shape (rows, 1, 1, longest)."""

    def of_layer(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self.layers:
            self.layers[layer] = tuple(  # type: ignore[assignment]
                new.new_zeros(self.rows, new.shape[1], self.capacity, new.shape[3]) for new in (key, value)
            )
        return self.layers[layer]

    def keep(self, rows: torch.Tensor) -> None:
        """Forget all other rows."""
        # Layer by layer: there is no room for two caches.
        for layer, (keys, values) in self.layers.items():
            self.layers[layer] = keys[rows], values[rows]
        self.rows, self.every = len(rows), self.every[: len(rows)]
        self.adapters = self.adapters and self.adapters.keep(rows)

    def through_adapters(self, rows: torch.Tensor) -> AbstractContextManager[None]:
        """Let each token of the next forward pass go through the adapter of its row, if rows have adapters of their own.

        Args:
            rows: the row of each token, of the shape of the token ids.
        """
        return self.adapters.of_tokens(rows) if self.adapters else nullcontext()


def attends_from_cache(model: Any) -> bool:
    """Whether a model's attention can be computed here: a learnt prompt needs places of its own."""
    return not learns_prompt(model) and attends_plainly(model)


def attend_from_cache(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    *,
    batch_cache: KeyValues,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Put keys and values where they belong in the cache, and attend to all that the cache then holds.

    Args:
        query: shape (1, heads, tokens, size) for prompts in a row, or (rows, heads, 1, size) for one more token of each sequence.
            Key and value may have fewer heads, each for a group of the query's heads.
        sliding_window: how many tokens a token sees, from itself backwards.
        batch_cache: keys and values of the current batch.

    Returns:
        Shape (1, tokens, heads, size) or (rows, 1, heads, size).
    """
    keys, values = batch_cache.of_layer(int(module.layer_idx), key, value)  # type: ignore[arg-type]
    if batch_cache.lengths is None:
        attend_prompts = _attend_prompts if batch_cache.kernel_row is None else _attend_prompts_by_kernel
        return attend_prompts(batch_cache, keys, values, (query, key, value), scaling, sliding_window), None
    rows = batch_cache.every
    keys[rows, :, batch_cache.lengths], values[rows, :, batch_cache.lengths] = key[:, :, 0], value[:, :, 0]
    allowed = _seen_by_added(batch_cache, batch_cache.lengths, sliding_window)
    # The heads of a group are consecutive rows, as if they were queries of one head.
    grouped = query.reshape(batch_cache.rows, key.shape[1], -1, query.shape[3])
    longest = allowed.shape[3]
    attend = torch.nn.functional.scaled_dot_product_attention
    result = attend(grouped, keys[:, :, :longest], values[:, :, :longest], allowed, scale=scaling)
    return result.reshape(batch_cache.rows, 1, query.shape[1], -1), None


def _attend_prompts(
    cache: KeyValues,
    keys: torch.Tensor,
    values: torch.Tensor,
    arriving: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """Attention of prompts that stand in a row, each for itself.

    Args:
        keys: the keys that the cache holds in this layer; `values` likewise.
        arriving: query, key and value of the row.
    """
    query, key, value = arriving
    attended, start = [], 0
    for row, first, end in cache.arriving:
        stop = start + end - first
        keys[row, :, first:end], values[row, :, first:end] = key[0, :, start:stop], value[0, :, start:stop]
        allowed = _visible(first, end, window, query.device)
        own = (query[:, :, start:stop], keys[row : row + 1, :, :end], values[row : row + 1, :, :end])
        attend = torch.nn.functional.scaled_dot_product_attention
        attended.append(attend(*own, allowed, is_causal=allowed is None, scale=scaling, enable_gqa=True))
        start = stop
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous()


def _attend_prompts_by_kernel(
    cache: KeyValues,
    keys: torch.Tensor,
    values: torch.Tensor,
    arriving: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    scaling: float | None,
    window: int | None,
) -> torch.Tensor:
    """The same for whole prompts, all at once."""
    row = cache.kernel_row
    assert row is not None
    # Encodings of positions may give another number type than the layer of values.
    query, key, value = (states[0].transpose(0, 1).to(arriving[2].dtype) for states in arriving)
    at, positions = row.tokens
    keys[at, :, positions], values[at, :, positions] = key.to(keys.dtype), value
    return varlen(query, key, value, row.bounds, row.longest, scaling, window)[None]


def _seen_by_added(cache: KeyValues, lengths: torch.Tensor, window: int | None) -> torch.Tensor:
    """What one more token of each sequence sees: shape (rows, 1, 1, longest). Layers with the same window share the mask."""
    allowed = cache.allowed.get(window)
    if allowed is None:
        longest = cache.capacity if cache.static else int(lengths.max()) + 1
        positions, last = torch.arange(longest, device=lengths.device), lengths[:, None]
        seen = positions <= last if window is None else (positions <= last) & (positions > last - window)
        allowed = cache.allowed[window] = seen[:, None, None]
    return allowed


def _visible(first: int, end: int, window: int | None, device: torch.device) -> torch.Tensor | None:
    """Which tokens before `end` the tokens from `first` on see; None if each sees all tokens before it, and all are there."""
    if first == 0 and (window is None or end <= window):
        return None
    seen = torch.ones(end - first, end, dtype=torch.bool, device=device).tril(first)
    return seen if window is None else seen.triu(first + 1 - window)


@contextmanager
def attention_from_cache(model: Any) -> Iterator[None]:
    """Have a model compute its attention here, for as long as the context is open."""
    usual = model.config._attn_implementation
    use_attention(model, FROM_CACHE, attend_from_cache)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def decode_from_cache(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    ends: set[int],
    draws: Sequence[torch.Generator],
    is_stopped: Callable[[list[int]], bool],
    started: float,
    adapters: RowAdapters | None = None,
) -> list[Sequenced]:
    """The tokens that follow each prompt, where the host looks at each token. For the arguments, see `generate_together`."""
    device = model.device
    answers = Answers(len(prompts), decoding, ends, is_stopped, started)
    cache = KeyValues(len(prompts), max(map(len, prompts)) + decoding.max_new_tokens, device, adapters=adapters)
    logits = read_prompts(model, prompts, cache)

    rows = list(range(len(prompts)))
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    choice = make_choice(decoding, sorted(ends), draws)
    for number in count():
        chosen = choose_tokens(choice, decoding, [(prompts[i], answers.new[i]) for i in rows], logits, number)
        for i, token in zip(rows, chosen.tolist(), strict=True):
            answers.add(i, [token])
        if not answers.running:
            break
        # Dropping finished rows copies the others, so it waits until it is worth it.
        if len(answers.running) <= 0.75 * len(rows):
            kept = torch.tensor([j for j, i in enumerate(rows) if i in answers.running], device=device)
            cache.keep(kept)
            rows, lengths, chosen = [i for i in rows if i in answers.running], lengths[kept], chosen[kept]
            choice = make_choice(decoding, sorted(ends), [draws[i] for i in rows])
        cache.lengths, cache.allowed = lengths, {}
        logits = add_tokens(model, chosen, cache)
        lengths = lengths + 1
    return answers.sequenced()


def add_tokens(model: Any, tokens: torch.Tensor, cache: KeyValues) -> torch.Tensor:
    """Put one more token of each sequence into the cache. Returns the logits behind it, of shape (rows, vocabulary)."""
    assert cache.lengths is not None
    inputs = {"input_ids": tokens[:, None], "position_ids": cache.lengths[:, None], "batch_cache": cache}
    with cache.through_adapters(cache.every[:, None]):
        logits: torch.Tensor = model(**inputs, use_cache=False).logits[:, -1]
    return logits


def read_prompts(model: Any, prompts: Sequence[Sequence[int]], cache: KeyValues) -> torch.Tensor:
    """Put prompts into the cache. Returns the logits behind each prompt, of shape (prompts, vocabulary)."""
    by_kernel, device = _reads_by_kernel(model), model.device
    # What an adapter makes of a beginning is its own.
    is_shareable = len(prompts) > 1 and not by_kernel and (cache.adapters is None or cache.adapters.are_alike)
    # The logits behind each prompt are the logits of its own last token.
    shared = common_length([prompt[:-1] for prompt in prompts]) if is_shareable else 0
    if shared:
        cache.arriving = [(0, 0, shared)]
        _forward(model, prompts[0][:shared], _Tokens.of([0] * shared, range(shared), device), [shared - 1], cache)
        for keys, values in cache.layers.values():
            keys[1:, :, :shared], values[1:, :, :shared] = keys[:1, :, :shared], values[:1, :, :shared]
    logits = []
    for group in _in_rows([len(prompt) - shared for prompt in prompts], _KERNEL_ROW_TOKENS if by_kernel else _ROW_TOKENS):
        cache.arriving = [(i, shared, len(prompts[i])) for i in group]
        ids = [token for i in group for token in prompts[i][shared:]]
        positions = [position for i in group for position in range(shared, len(prompts[i]))]
        tokens = _Tokens.of([i for i in group for _ in prompts[i][shared:]], positions, device)
        ends = [end - 1 for end in accumulate(len(prompts[i]) - shared for i in group)]
        if by_kernel:
            bounds = torch.tensor([0, *(end + 1 for end in ends)], dtype=torch.int32, device=device)
            cache.kernel_row = _KernelRow(bounds, max(len(prompts[i]) for i in group), tokens)
        logits.append(_forward(model, ids, tokens, ends, cache))
    cache.kernel_row = None
    return torch.cat(logits)


def _reads_by_kernel(model: Any) -> bool:
    return all(fits_kernel(*head) for head in attention_of(model).heads) and can_varlen(model.device, model.dtype)


def _forward(model: Any, ids: Sequence[int], tokens: _Tokens, wanted: Sequence[int], cache: KeyValues) -> torch.Tensor:
    """Logits at the wanted places of a row of tokens, of shape (wanted, vocabulary)."""
    row, keep = (torch.tensor(list(values), device=model.device) for values in (ids, wanted))
    inputs = {"input_ids": row[None], "position_ids": tokens.positions[None], "batch_cache": cache}
    with cache.through_adapters(tokens.rows[None]):
        logits: torch.Tensor = model(**inputs, use_cache=False, logits_to_keep=keep).logits[0]
    return logits


def _in_rows(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Indices of the prompts that stand in one row, in order.

    Args:
        most: tokens of a row, unless a single prompt has more.
    """
    rows: list[list[int]] = []
    total = 0
    for i, length in enumerate(lengths):
        total += length
        if not rows or total > most:
            rows.append([])
            total = length
        rows[-1].append(i)
    return rows
