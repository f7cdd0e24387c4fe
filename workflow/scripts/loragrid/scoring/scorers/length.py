"""The scorer `length`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import words


class LengthScorer(ScorerSettings):
    """Length of an answer in `words` and `characters`, and of its words as a share of the reference's (`length_ratio`)."""

    type: Literal["length"] = Field(description="Chooses this scorer.")

    edition = 1
    example_metrics = ("words", "characters", "length_ratio")
    kind = "length"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return length

    def worst_values(self) -> dict[str, float | None]:
        return {"length_ratio": None}


def length(items: Sequence[Item]) -> list[Scored]:
    """Length of the answer in `words` and `characters`, and its words as a share of the first reference's (`length_ratio`).

    There is no share of a reference without words.
    """

    def score_one(item: Item) -> Scored:
        given, wanted = len(words(item.prediction)), len(words(item.references[0]))
        lengths = {"words": given, "characters": len(item.prediction)}
        if not wanted:
            return Scored(lengths, undefined={"length_ratio": "the reference has no words"})
        return Scored(lengths | {"length_ratio": given / wanted})

    return [score_one(item) for item in items]
