"""The scorer `length`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import words


class LengthScorer(ScorerSettings):
    """Length of an answer in `words` and `characters`, and of its words as a share of the reference's (`length_ratio`)."""

    type: Literal["length"] = Field(description="Chooses this scorer.")

    example_metrics = ("words", "characters", "length_ratio")

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return length


def length(items: Sequence[Item]) -> list[Scored]:
    """Length of the answer in `words` and `characters`, and its words as a share of the first reference's (`length_ratio`).

    The share is NaN if the reference has no words.
    """

    def score_one(item: Item) -> Scored:
        given, wanted = len(words(item.prediction)), len(words(item.references[0]))
        ratio = given / wanted if wanted else math.nan
        return Scored({"words": given, "characters": len(item.prediction), "length_ratio": ratio})

    return [score_one(item) for item in items]
