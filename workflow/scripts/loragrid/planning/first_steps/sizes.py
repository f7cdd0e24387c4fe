"""Sizes that fit the number of rows: splits, training sets, lengths in tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

FEW, MANY = 500, 5000
"""Rows. Of few, more are needed for the test; of many, a cut by shares is exact enough."""

RUNGS = (8, 32, 128, 512, 2048)
"""Sizes of training sets."""

MOST_TOKENS = 60_000
"""Tokens that the larger sizes together may have, for a first look on a laptop: about ten minutes of training on two cores."""

BYTES_PER_TOKEN = 2.5
"""Cautious: English has four bytes a token in the vocabulary of a small model, other languages have fewer."""


class Shares(NamedTuple):
    """How splits are cut."""

    test: float
    validation: float
    exact: bool


def shares_of(nb_rows: int) -> Shares:
    """The shares of test and validation examples."""
    if nb_rows <= FEW:
        return Shares(0.3, 0.1, exact=True)
    return Shares(0.2, 0.1, exact=True) if nb_rows <= MANY else Shares(0.1, 0.05, exact=False)


def nb_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def longest(lengths: Sequence[int]) -> int:
    """The length that 95 % do not exceed."""
    return sorted(lengths)[math.ceil(0.95 * len(lengths)) - 1]


def ladder(nb_train: int, tokens_of_example: float, epochs: int) -> tuple[list[int], list[int]]:
    """Sizes of training sets: those for a first look, and larger ones that the training split holds too.

    Args:
        tokens_of_example: mean number of tokens of an example.
    """
    fitting = [rung for rung in RUNGS if rung <= nb_train] or [nb_train]
    if len(fitting) == 1 and nb_train > fitting[0]:
        fitting.append(nb_train)
    chosen = fitting[:1]
    for rung in fitting[1:]:
        if sum([*chosen[1:], rung]) * tokens_of_example * epochs <= MOST_TOKENS:
            chosen.append(rung)
    return chosen, fitting[len(chosen) :]
