"""Generation with a torch model: a batch of prompts, where a decoding says how each token is chosen.

If a model's attention is plain, the prompts stand in one row without padding, and their common beginning is computed once. Each
sequence has a row of its own in the cache of keys and values. Other models go through `generate()`, with padding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, count
from typing import Any, NamedTuple

import torch

from loragrid.errors import UserError
from loragrid.inference.protocol import Decoding
from loragrid.models.adapters import learns_prompt
from loragrid.models.packed_attention import attends_plainly, use_attention
from loragrid.models.sequences import common_length, padded_on_the_left

FROM_CACHE = "loragrid_from_cache"
"""Name of this implementation of attention, as transformers calls it."""


_ROW_TOKENS = 2048
"""Maximum number of tokens of a row of prompts, unless a single prompt has more."""


class Sequenced(NamedTuple):
    """The tokens that a model gave for one prompt."""

    token_ids: list[int]
    compute_s: float
    """Seconds from the start of the batch until its last token was there."""


class _KeyValues:
    """Keys and values of a batch: each sequence in a row of its own, from its first token on."""

    def __init__(self, rows: int, capacity: int) -> None:
        self.rows, self.capacity = rows, capacity
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.arriving: list[tuple[int, int, int]] = []
        """For each prompt in the next forward pass: its row, its first position there, and the position behind its last."""
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
        self.layers = {layer: (keys[rows], values[rows]) for layer, (keys, values) in self.layers.items()}
        self.rows = len(rows)


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
    batch_cache: _KeyValues,
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
        return _attend_prompts(batch_cache, keys, values, (query, key, value), scaling, sliding_window), None
    rows = torch.arange(batch_cache.rows, device=query.device)
    keys[rows, :, batch_cache.lengths], values[rows, :, batch_cache.lengths] = key[:, :, 0], value[:, :, 0]
    allowed = _seen_by_added(batch_cache, batch_cache.lengths, sliding_window)
    # The heads of a group are consecutive rows, as if they were queries of one head.
    grouped = query.reshape(batch_cache.rows, key.shape[1], -1, query.shape[3])
    longest = allowed.shape[3]
    attend = torch.nn.functional.scaled_dot_product_attention
    result = attend(grouped, keys[:, :, :longest], values[:, :, :longest], allowed, scale=scaling)
    return result.reshape(batch_cache.rows, 1, query.shape[1], -1), None


def _attend_prompts(
    cache: _KeyValues,
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


def _seen_by_added(cache: _KeyValues, lengths: torch.Tensor, window: int | None) -> torch.Tensor:
    """What one more token of each sequence sees: shape (rows, 1, 1, longest). Layers with the same window share the mask."""
    allowed = cache.allowed.get(window)
    if allowed is None:
        positions, last = torch.arange(int(lengths.max()) + 1, device=lengths.device), lengths[:, None]
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
def _attention(model: Any) -> Iterator[None]:
    usual = model.config._attn_implementation
    use_attention(model, FROM_CACHE, attend_from_cache)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


Choice = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Gives scores; the token with the largest score is taken. The arguments are the tokens so far, shape (rows, longest), logits,
shape (rows, vocabulary), and the number of tokens that were chosen already. A row that is shorter than others repeats tokens
of its own."""


def make_choice(decoding: Decoding, ends: Sequence[int], draws: Sequence[torch.Generator]) -> Choice:
    """How the next token of each row is chosen.

    To draw from the probabilities, Gumbel noise is added to the scores and the largest is taken (Gumbel 1954; Maddison et al.
    2014, arXiv:1411.0030). Each row has noise of its own, so that a draw does not depend on the other rows.

    Args:
        draws: one for each row.
    """
    from transformers.generation.logits_process import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    penalty, warpers = LogitsProcessorList(), LogitsProcessorList()
    if decoding.repetition_penalty != 1:
        penalty.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
    if decoding.temperature:
        warpers.append(TemperatureLogitsWarper(decoding.temperature))
        warpers += [TopKLogitsWarper(decoding.top_k)] if decoding.top_k else []
        warpers += [TopPLogitsWarper(decoding.top_p)] if decoding.top_p < 1 else []

    def choose(histories: torch.Tensor, logits: torch.Tensor, number: int) -> torch.Tensor:
        if logits.isnan().any():
            raise UserError(
                "the model's logits are not numbers, as they are in too narrow a number type; try dtype: float32 or bfloat16."
            )
        scores: torch.Tensor = penalty(histories, logits.float())
        if number < decoding.min_new_tokens:
            # A model may list an end that its vocabulary lacks.
            scores[:, [end for end in ends if end < scores.shape[1]]] = -torch.inf
        if not decoding.temperature:
            return scores
        scores = warpers(histories, scores)
        noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=draw) for draw in draws])
        return scores - noise.log().to(scores.device)

    return choose


def generate_together(
    model: Any,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
    is_stopped: Callable[[list[int]], bool],
    use_cache: bool = True,
) -> list[Sequenced]:
    """The tokens that follow each prompt, up to one of `ends` or until `is_stopped`.

    Args:
        seeds: of the random draws of each prompt.
        is_stopped: whether the text of the tokens so far ends an answer.
        use_cache: whether `generate()` may go on from what the model keeps of a text.
    """
    started = time.perf_counter()
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    with torch.inference_mode():
        if not attends_from_cache(model):
            return _through_transformers(model, prompts, decoding, ends, pad, draws, is_stopped, started, use_cache)
        with _attention(model):
            return _from_cache(model, prompts, decoding, set(ends), draws, is_stopped, started)


def _from_cache(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    ends: set[int],
    draws: Sequence[torch.Generator],
    is_stopped: Callable[[list[int]], bool],
    started: float,
) -> list[Sequenced]:
    device = model.device
    new: list[list[int]] = [[] for _ in prompts]
    seconds = [0.0] * len(prompts)
    cache = _KeyValues(len(prompts), max(map(len, prompts)) + decoding.max_new_tokens)
    logits = _read_prompts(model, prompts, cache)

    rows = list(range(len(prompts)))
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    running = set(rows)
    choice = make_choice(decoding, sorted(ends), draws)
    for number in count():
        width = max(len(prompts[i]) + len(new[i]) for i in rows) if decoding.repetition_penalty != 1 else 0
        histories = [[*prompts[i], *new[i]] for i in rows] if width else []
        padded = torch.tensor([h + h[:1] * (width - len(h)) for h in histories], device=device)
        chosen = choice(padded, logits, number).argmax(-1)
        for i, token in zip(rows, chosen.tolist(), strict=True):
            if i in running:
                new[i].append(token)
                if token in ends or len(new[i]) == decoding.max_new_tokens or is_stopped(new[i]):
                    running.discard(i)
                    seconds[i] = time.perf_counter() - started
        if not running:
            break
        # Dropping finished rows copies the others, so it waits until it is worth it.
        if len(running) <= 0.75 * len(rows):
            kept = torch.tensor([j for j, i in enumerate(rows) if i in running], device=device)
            cache.keep(kept)
            rows, lengths, chosen = [i for i in rows if i in running], lengths[kept], chosen[kept]
            choice = make_choice(decoding, sorted(ends), [draws[i] for i in rows])
        cache.lengths, cache.allowed = lengths, {}
        inputs = {"input_ids": chosen[:, None], "position_ids": lengths[:, None], "batch_cache": cache}
        logits = model(**inputs, use_cache=False).logits[:, -1]
        lengths = lengths + 1
    return [Sequenced(*of_row) for of_row in zip(new, seconds, strict=True)]


def _read_prompts(model: Any, prompts: Sequence[Sequence[int]], cache: _KeyValues) -> torch.Tensor:
    """Put prompts into the cache. Returns the logits behind each prompt, of shape (prompts, vocabulary)."""
    # The logits behind each prompt are the logits of its own last token.
    shared = common_length([prompt[:-1] for prompt in prompts]) if len(prompts) > 1 else 0
    if shared:
        cache.arriving = [(0, 0, shared)]
        _forward(model, prompts[0][:shared], range(shared), [shared - 1], cache)
        for keys, values in cache.layers.values():
            keys[1:, :, :shared], values[1:, :, :shared] = keys[:1, :, :shared], values[:1, :, :shared]
    logits = []
    for group in _in_rows([len(prompt) - shared for prompt in prompts]):
        cache.arriving = [(i, shared, len(prompts[i])) for i in group]
        ids = [token for i in group for token in prompts[i][shared:]]
        positions = [position for i in group for position in range(shared, len(prompts[i]))]
        ends = [end - 1 for end in accumulate(len(prompts[i]) - shared for i in group)]
        logits.append(_forward(model, ids, positions, ends, cache))
    return torch.cat(logits)


def _forward(model: Any, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int], cache: _KeyValues) -> torch.Tensor:
    """Logits at the wanted places of a row, of shape (wanted, vocabulary)."""
    row, at, keep = (torch.tensor(list(values), device=model.device) for values in (ids, positions, wanted))
    inputs = {"input_ids": row[None], "position_ids": at[None], "batch_cache": cache}
    logits: torch.Tensor = model(**inputs, use_cache=False, logits_to_keep=keep).logits[0]
    return logits


def _in_rows(lengths: Sequence[int]) -> list[list[int]]:
    """Indices of the prompts that stand in one row, in order."""
    rows: list[list[int]] = []
    total = 0
    for i, length in enumerate(lengths):
        total += length
        if not rows or total > _ROW_TOKENS:
            rows.append([])
            total = length
        rows[-1].append(i)
    return rows


def _through_transformers(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    ends: Sequence[int],
    pad: int,
    draws: Sequence[torch.Generator],
    is_stopped: Callable[[list[int]], bool],
    started: float,
    use_cache: bool,
) -> list[Sequenced]:
    """As `generate_together`, by padding on the left and `generate()`."""
    from transformers import GenerationConfig

    choice = make_choice(decoding, ends, draws)
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=decoding.max_new_tokens,
        eos_token_id=sorted(ends),
        pad_token_id=pad,
        use_cache=use_cache,
    )
    _forget_last_text(model)
    # generate() would add what the model's own generation settings say to ours.
    model.generation_config = config
    device = model.device
    input_ids, mask = padded_on_the_left(prompts, pad, device)
    width = input_ids.shape[1]

    def choose(histories: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        padding = torch.nn.functional.pad(mask == 0, (0, histories.shape[1] - width))
        return choice(torch.where(padding, input_ids[:, -1:], histories), logits, histories.shape[1] - width)

    def stopped(histories: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.tensor([is_stopped(row) for row in histories[:, width:].tolist()], device=device)

    output = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        generation_config=config,
        logits_processor=[choose],
        stopping_criteria=[stopped],
    )
    seconds = time.perf_counter() - started
    return [Sequenced(_until_end(row, set(ends), is_stopped), seconds) for row in output[:, width:].tolist()]


def _forget_last_text(model: Any) -> None:
    """Clear the states that RecurrentGemma keeps in its layers: it would begin a prompt of a single token with them."""
    for module in model.modules():
        if getattr(module, "recurrent_states", None) is not None:
            module.recurrent_states = None
        if getattr(module, "conv1d_state", None) is not None:
            module.conv1d_state = torch.zeros_like(module.conv1d_state)


def _until_end(tokens: list[int], ends: set[int], is_stopped: Callable[[list[int]], bool]) -> list[int]:
    stop = next((i for i, token in enumerate(tokens, 1) if token in ends or is_stopped(tokens[:i])), len(tokens))
    return tokens[:stop]
