"""The scorer `token_f1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.counts import overlap
from loragrid.scoring.protocol import Item, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import words


class TokenF1Scorer(ScorerSettings):
    """Precision, recall and F1 over the words of any script, 0 to 1. Case is ignored."""

    type: Literal["token_f1"] = Field(description="Chooses this scorer.")

    example_metrics = ("precision", "recall", "f1")

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return token_f1


def token_f1(items: Sequence[Item]) -> list[Scored]:
    """Precision, recall and F1 over the words of any script, 0 to 1."""
    return [
        Scored(best_of(overlap(words(item.prediction), words(reference))._asdict() for reference in item.references))
        for item in items
    ]
