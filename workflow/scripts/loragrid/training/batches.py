"""Training examples as token ids, and how an optimiser step is cut into forward passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import torch

from loragrid.data.learnt_turns import Spans, earlier_answers
from loragrid.data.render import Renderer, render, zero_shot
from loragrid.models.sequences import common_length

if TYPE_CHECKING:
    from loragrid.data.tokens import Tokenised
    from loragrid.records import Example

LEAST_IN_COMMON = 16
"""Minimum number of tokens that a row shares. To share fewer would cost about as much as to compute them for each example."""

IGNORED = -100
"""In the place of a target: there is none."""

GRAIN, COARSE_GRAIN, COARSE_FROM = 256, 512, 4096
"""Rows are filled up to multiples of the first number; from so many tokens on, to multiples of the second."""


class Encoded(NamedTuple):
    """An example as token ids. The tokens from `target_start` on are learnt."""

    ids: list[int]
    target_start: int
    earlier: tuple[tuple[int, int], ...] = ()
    """Where other tokens stand that are learnt too: earlier answers of a conversation."""

    @property
    def nb_targets(self) -> int:
        return len(self.ids) - self.target_start + sum(end - start for start, end in self.earlier)

    @property
    def shareable(self) -> list[int]:
        """The tokens before the first that predicts a target."""
        return self.ids[: (self.earlier[0][0] if self.earlier else self.target_start) - 1]

    @property
    def target_places(self) -> list[int]:
        """The places of the tokens that are learnt."""
        return [place for start, end in (*self.earlier, (self.target_start, len(self.ids))) for place in range(start, end)]


class EncodedMix(NamedTuple):
    """The examples of a mix as token ids."""

    train: list[Encoded]
    validation: list[Encoded]
    cut: list[str]
    """Ids of the training examples whose input was cut."""
    dropped: list[str]
    """Ids of the examples that do not fit."""


class Batch(NamedTuple):
    """One forward pass."""

    input_ids: torch.Tensor
    """Shape (rows, longest)."""
    position_ids: torch.Tensor | None
    """Shape (rows, longest); None if every row is one example, from position 0 on."""
    predicting: torch.Tensor
    """Shape (targets,): the token before each target, counted through all rows."""
    targets: torch.Tensor
    """Shape (targets,): the tokens to predict; some may be IGNORED."""
    lengths: torch.Tensor
    """Shape (rows, longest): length of the example that a token belongs to, 0 for padding."""
    sections: list[int]
    """For a packed row: the number of tokens that its examples share, then the number that follows in each example."""
    bounds: torch.Tensor | None = None
    """For a packed row in which nothing is shared: int32, shape (sequences + 1,): where each sequence starts, and where the last
    one ends."""
    longest: int | None = None
    """No sequence of `bounds` has more tokens; None: than the longest of `sections`."""
    owners: torch.Tensor | None = None
    """In a step of several runs: of the shape of `input_ids`: whose token it is."""
    weights: torch.Tensor | None = None
    """In a step of several runs: float32, shape (targets,): factor of each target's loss."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device. The host does not wait for a GPU to take it."""

        def moved(part: torch.Tensor) -> torch.Tensor:
            return part.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else part.to(device)

        return Batch(*(moved(part) if isinstance(part, torch.Tensor) else part for part in self))  # type: ignore[arg-type]


def encode_mix(
    renderer: Renderer,
    train: Sequence[Example],
    validation: Sequence[Example],
    tokenised: Mapping[str, Sequence[Tokenised]],
    loss_computation: str,
    max_length: int,
    loss_turns: str = "last",
) -> EncodedMix:
    """Make training examples of both parts of a mix, as `encode` does."""
    of_train, cut, dropped = encode(renderer, train, tokenised, loss_computation, max_length, loss_turns)
    of_validation, _, dropped_too = encode(renderer, validation, tokenised, loss_computation, max_length, loss_turns)
    return EncodedMix(of_train, of_validation, cut, dropped + dropped_too)


def encode(
    renderer: Renderer,
    examples: Sequence[Example],
    tokenised: Mapping[str, Sequence[Tokenised]],
    loss_computation: str,
    max_length: int,
    loss_turns: str = "last",
) -> tuple[list[Encoded], list[str], list[str]]:
    """Make training examples; the first reference is the answer to learn.

    Args:
        tokenised: token ids of each prompt, by the example's id. A prompt that is too long is rendered anew, with its input cut.
            An example without prompts (its answers share one reference) is dropped.
        loss_turns: `all`: in conversations, earlier answers of the assistant are learnt too.

    Returns:
        The encoded examples, the ids of examples whose input was cut, and the ids of examples that were dropped because they do
        not fit.
    """
    encoded, truncated, dropped = [], [], []
    for example in examples:
        if not (of_example := tokenised.get(example.id)):
            dropped.append(example.id)
            continue
        for part, (prompt_ids, answer_ids, earlier) in zip(example.parts, of_example, strict=True):
            request = zero_shot(part)
            if len(prompt_ids) + len(answer_ids) > max_length:
                rendered = render(renderer, request, part.references[0], max_length)
                if rendered is None:
                    dropped.append(example.id)
                    continue
                truncated.append(example.id)
                prompt_ids, answer_ids, earlier = rendered.prompt_ids, rendered.answer_ids, None
                request = request._replace(turns=rendered.turns)
            # Nothing comes before the first token, so it cannot be a target.
            target_start = len(prompt_ids) if loss_computation == "completion" else 1
            learnt: Spans = []
            if loss_turns == "all" and loss_computation == "completion":
                learnt = earlier_answers(renderer, request, prompt_ids) if earlier is None else earlier
            encoded.append(
                Encoded([*prompt_ids, *answer_ids], target_start, tuple((max(start, 1), end) for start, end in learnt))
            )
    return encoded, truncated, dropped


class _Row(NamedTuple):
    examples: list[int]
    beginning: list[int]
    """The common beginning of all examples; the row holds it once."""
    total: int
    """Tokens of all examples."""

    @property
    def tokens(self) -> int:
        return self.total - (len(self.examples) - 1) * len(self.beginning)


def pack(lengths: Sequence[int], beginnings: Sequence[list[int]], max_tokens: int) -> list[list[int]]:
    """Divide examples among rows of at most `max_tokens` tokens, the longest first. Each goes where it adds least and fits best.

    An example adds its tokens without the beginning that it shares with the row. If nothing is shared, the method is best-fit
    decreasing (Johnson 1973; for language models Ding et al. 2024, arXiv:2404.10830).

    Args:
        lengths: tokens of each example.
        beginnings: token ids at the start of each example; a row may hold a common beginning once for several examples.

    Returns:
        The indices of each row's examples.
    """
    rows: list[_Row] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        beginning, length = beginnings[index], lengths[index]
        joined = [_Row([*row.examples, index], common_beginning([row.beginning, beginning]), row.total + length) for row in rows]
        fitting = [i for i, row in enumerate(joined) if row.tokens <= max_tokens]
        if fitting:
            best = min(fitting, key=lambda i: (joined[i].tokens - rows[i].tokens, -joined[i].tokens))
            rows[best] = joined[best]
        else:
            rows.append(_Row([index], beginning, length))
    return [row.examples for row in rows]


def common_beginning(beginnings: Sequence[list[int]]) -> list[int]:
    """The token ids that all examples begin with; none if they are too few to be worth sharing."""
    number = common_length(beginnings)
    return beginnings[0][:number] if number >= LEAST_IN_COMMON else []


def share(passes: Sequence[Sequence[int]], lengths: Sequence[int], rank: int, nb_ranks: int) -> list[list[int]]:
    """The forward passes of one process. Every process has equally many; empty passes fill up if there are too few.

    Large passes are halved until they can be shared out evenly, and passes of similar size run at the same time.
    """

    def tokens(examples: Sequence[int]) -> int:
        return sum(lengths[i] for i in examples)

    shared = [list(examples) for examples in passes]
    while len(shared) % nb_ranks and any(len(examples) > 1 for examples in shared):
        largest = max((examples for examples in shared if len(examples) > 1), key=tokens)
        shared.remove(largest)
        shared += [largest[: len(largest) // 2], largest[len(largest) // 2 :]]
    shared.sort(key=tokens, reverse=True)
    shared += [[]] * (-len(shared) % nb_ranks)
    return shared[rank::nb_ranks]


def collate(examples: Sequence[Encoded], pad: int) -> Batch:
    """One example per row, padded on the right.

    Attention is causal, so that no token sees the padding behind it; no mask is needed, and positions count from 0.
    """
    length = max(len(example.ids) for example in examples)
    input_ids = torch.tensor([example.ids + [pad] * (length - len(example.ids)) for example in examples])
    lengths = torch.tensor([[len(e.ids)] * len(e.ids) + [0] * (length - len(e.ids)) for e in examples])
    predicting = [length * row + i for row, e in enumerate(examples) for i in _before_targets(e)]
    return Batch(input_ids, None, torch.tensor(predicting, dtype=torch.long), _targets(examples), lengths, [])


def collate_packed(examples: Sequence[Encoded], share_beginning: bool) -> Batch:
    """All examples in one row, without padding; positions start again with each example. Attention has to keep them apart.

    Args:
        share_beginning: whether the row holds the common beginning of all examples only once, before the rest of each.
    """
    shared = len(common_beginning([e.shareable for e in examples])) if share_beginning and len(examples) > 1 else 0
    first, lengths = examples[0].ids[:shared], [len(e.ids) for e in examples]
    input_ids = torch.tensor([[*first, *(token for e in examples for token in e.ids[shared:])]])
    position_ids = torch.tensor([[*range(shared), *(i for length in lengths for i in range(shared, length))]])
    sections = [shared, *(length - shared for length in lengths)]
    starts = list(accumulate(sections))
    predicting = [start - shared + i for start, e in zip(starts, examples, strict=False) for i in _before_targets(e)]
    of_length = [length for length in lengths for _ in range(shared, length)]
    return Batch(
        input_ids,
        position_ids,
        torch.tensor(predicting, dtype=torch.long),
        _targets(examples),
        torch.tensor([[shared] * shared + of_length]),
        sections,
        None if shared else torch.tensor(starts, dtype=torch.int32),
    )


def fill_up(batch: Batch, pad: int, longest: int, grain: int | None = None) -> Batch:
    """A packed row whose numbers of tokens and of targets are multiples of GRAIN or of COARSE_GRAIN, so that few shapes occur.

    What fills it up is a sequence of its own behind the others. It has no target: the targets that are added are IGNORED.

    Args:
        batch: a row in which nothing is shared.
        pad: id that fills up the row.
        longest: no example of the training has more tokens.
        grain: in the place of GRAIN and COARSE_GRAIN.
    """
    assert batch.bounds is not None
    assert batch.position_ids is not None
    # At least one token, so that no sequence is empty.
    more = _rounded_up(batch.input_ids.shape[1] + 1, grain) - batch.input_ids.shape[1]
    targets = _rounded_up(len(batch.targets), grain) - len(batch.targets)
    pad_right = torch.nn.functional.pad
    return batch._replace(
        input_ids=pad_right(batch.input_ids, (0, more), value=pad),
        # A model with few positions has this one in any case.
        position_ids=pad_right(batch.position_ids, (0, more)),
        predicting=pad_right(batch.predicting, (0, targets)),
        targets=pad_right(batch.targets, (0, targets), value=IGNORED),
        lengths=pad_right(batch.lengths, (0, more)),
        bounds=torch.cat([batch.bounds, batch.bounds[-1:] + more]),
        longest=max(_rounded_up(longest), grain or COARSE_GRAIN),
    )


def _rounded_up(number: int, grain: int | None = None) -> int:
    grain = grain or (GRAIN if number < COARSE_FROM else COARSE_GRAIN)
    return -(-number // grain) * grain


def _before_targets(example: Encoded) -> list[int]:
    """The positions of the tokens before an example's targets."""
    return [place - 1 for place in example.target_places]


def _targets(examples: Sequence[Encoded]) -> torch.Tensor:
    return torch.tensor([e.ids[place] for e in examples for place in e.target_places], dtype=torch.long)
