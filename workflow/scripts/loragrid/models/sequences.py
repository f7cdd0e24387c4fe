"""Sequences of tokens: how they are cut into forward passes and padded."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from loragrid.models.rope import Stretch, stretched_by

FORWARD_COST = {"cpu": 64, "cuda": 2048}
"""The cost of one more forward and backward pass, as the number of tokens that take the same time, by the type of device.

Measured with 135M parameters on 2 cores. Small batches keep a GPU waiting.
"""


def cut_into_forward_passes(lengths: Sequence[int], max_tokens: int, forward_cost: int) -> list[list[int]]:
    """Divide examples among forward passes so that padding and passes together cost least.

    Dynamic programming finds the cheapest division of the examples in order of length. A pass costs its tokens with padding, and
    `forward_cost` tokens for itself.

    Args:
        lengths: tokens of each example.
        max_tokens: maximum number of tokens of a pass, with padding. A longer example is a pass of its own.

    Returns:
        The indices of each pass's examples, the longest pass first: a pass that does not fit in memory fails at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    cheapest: list[tuple[int, int]] = [(0, 0)]  # for the first n examples: cost, and where the last pass starts
    for end in range(1, len(order) + 1):
        longest = lengths[order[end - 1]]
        most = max(1, max_tokens // max(1, longest))
        options = [
            (cheapest[start][0] + (end - start) * longest + forward_cost, start) for start in range(max(0, end - most), end)
        ]
        cheapest.append(min(options))
    passes, end = [], len(order)
    while end:
        start = cheapest[end][1]
        passes.append(order[start:end])
        end = start
    return passes


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """The length of the common beginning of all sequences of token ids."""
    shortest = min(sequences, key=len)
    differing = (i for i, token in enumerate(shortest) if any(sequence[i] != token for sequence in sequences))
    return next(differing, len(shortest))


def together(lengths: Sequence[int], stretches: Sequence[Stretch]) -> list[list[int]]:
    """Indices of the sequences that may share a forward pass, because they stretch the encoding of positions alike."""
    alike: defaultdict[Hashable, list[int]] = defaultdict(list)
    for i, length in enumerate(lengths):
        alike[stretched_by(length, stretches)].append(i)
    return list(alike.values())


WIDTH_STEPS = ((64, 8), (128, 16), (256, 32))
"""Up to so many tokens, the widths of batches are multiples of so many."""


def width_of_batch(length: int, longest: int, stretches: Sequence[Stretch] = ()) -> int:
    """The width of the batch in which a sequence is read: its length, rounded up.

    Args:
        length: tokens of the sequence.
        longest: the most tokens that the model can read. Where rounding up would exceed it, the width is the length itself.
        stretches: how the encoding of positions changes with the width. Where rounding up would change it, likewise.
    """
    step = next((step for limit, step in WIDTH_STEPS if length <= limit), 64)
    width = -(-length // step) * step
    return width if width <= longest and stretched_by(width, stretches) == stretched_by(length, stretches) else length


def alike_batches(
    lengths: Sequence[int], batch_tokens: int, longest: int, stretches: Sequence[Stretch] = ()
) -> list[tuple[list[int], int]]:
    """Batches in which the result of a sequence is the same bit by bit, whatever else is read: indices and width of each.

    Rounding depends on the shape of a batch, and on whether it has padding at all. So sequences of one width share a batch, with
    padding or without, and each batch has as many rows as its width allows: missing rows are filled up with the first.

    Args:
        batch_tokens: tokens of a batch, padding included; a wider sequence is a batch of its own.
        longest: as for `width_of_batch`.

    Returns:
        The widest batch first. Every index is in one batch, in which it may stand several times.
    """
    groups: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
    for i, length in enumerate(lengths):
        width = width_of_batch(length, longest, stretches)
        groups[width, width == length].append(i)
    batches = []
    for (width, _), group in sorted(groups.items(), reverse=True):
        rows = max(1, batch_tokens // max(1, width))
        for start in range(0, len(group), rows):
            batch = group[start : start + rows]
            batches.append((batch + batch[:1] * (rows - len(batch)), width))
    return batches


def padded(
    sequences: Sequence[Sequence[int]], pad: int, batch_tokens: int, longest: int, stretches: Sequence[Stretch] = ()
) -> Iterator[tuple[list[int], torch.Tensor, torch.Tensor]]:
    """Token ids in batches of `alike_batches`: indices of the sequences, their ids padded on the right, and the attention mask.

    Both tensors have the shape (sequences of the batch, width).
    """
    lengths = [len(ids) for ids in sequences]
    for indices, width in alike_batches(lengths, batch_tokens, longest, stretches):
        ids = torch.tensor([[*sequences[i], *[pad] * (width - lengths[i])] for i in indices])
        mask = torch.tensor([[1] * lengths[i] + [0] * (width - lengths[i]) for i in indices])
        yield indices, ids, mask


class FurtherInputs(NamedTuple):
    """What a model reads besides the ids of tokens and the attention mask, such as the segment of each token of a pair."""

    by_name: dict[str, Sequence[Sequence[int]]]
    """Values for each token of each sequence."""

    def rows(self, indices: Sequence[int], width: int, device: torch.device) -> dict[str, torch.Tensor]:
        """The values for sequences of one batch, filled up with 0 on the right."""
        return {
            name: torch.tensor([[*values[i], *[0] * (width - len(values[i]))] for i in indices], device=device)
            for name, values in self.by_name.items()
        }


def further_inputs(model: Any, encoded: Mapping[str, Sequence[Sequence[int]]]) -> FurtherInputs:
    """All that a tokenizer gave, as far as the model reads it. Some tokenizers give more than their model knows."""
    known = inspect.signature(model.forward).parameters.keys() - {"input_ids", "attention_mask"}
    return FurtherInputs({name: values for name, values in encoded.items() if name in known})


def padded_on_the_left(prompts: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of prompts that are padded on the left, and the attention mask. Both have the shape (prompts, longest)."""
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=device)
    return ids, torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
