"""How a token is chosen from the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from loragrid.errors import UserError
from loragrid.inference.protocol import Decoding

NO_NUMBERS = "the model's logits are not numbers, as they are in too narrow a number type; try dtype: float32 or bfloat16."


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
            raise UserError(NO_NUMBERS)
        scores: torch.Tensor = penalty(histories, logits.float())
        if number < decoding.min_new_tokens:
            # A model may list an end that its vocabulary lacks.
            scores[:, [end for end in ends if end < scores.shape[1]]] = -torch.inf
        if not decoding.temperature:
            return scores
        scores = warpers(histories, scores)
        noise = torch.stack([torch.empty(scores.shape[1], device=draw.device).exponential_(generator=draw) for draw in draws])
        return scores - noise.log().to(scores.device)

    return choose


def choose_tokens(
    choice: Choice, decoding: Decoding, texts: Sequence[tuple[Sequence[int], list[int]]], logits: torch.Tensor, number: int
) -> torch.Tensor:
    """The next token of each row, of shape (rows,).

    Args:
        texts: the prompt of each row, and its tokens so far.
        number: how many tokens were chosen already.
    """
    width = max(len(prompt) + len(new) for prompt, new in texts) if decoding.repetition_penalty != 1 else 0
    histories = [[*prompt, *new] for prompt, new in texts] if width else []
    padded = torch.tensor([h + h[:1] * (width - len(h)) for h in histories], device=logits.device)
    return choice(padded, logits, number).argmax(-1)
