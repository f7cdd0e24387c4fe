"""The scorer `token_f1`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.counts import overlap
from loragrid.scoring.protocol import Item, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import normalise_space, one_form, words


class TokenF1Scorer(ScorerSettings):
    """Precision, recall and F1 over the words of any script, 0 to 1. Case is ignored."""

    type: Literal["token_f1"] = Field(description="Chooses this scorer.")

    edition = 1
    example_metrics = ("precision", "recall", "f1")
    limits = (0.0, 1.0)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return token_f1


def token_f1(items: Sequence[Item]) -> list[Scored]:
    """Precision, recall and F1 over the words of any script, 0 to 1. A number is one word, with its sign and point.

    A reference without words, such as "!!!", is compared as a whole.
    """

    def compare(prediction: str, reference: str) -> dict[str, float]:
        wanted = words(reference, whole_numbers=True)
        if not wanted and (text := normalise_space(one_form(reference))):
            return dict.fromkeys(TokenF1Scorer.example_metrics, float(normalise_space(one_form(prediction)) == text))
        return overlap(words(prediction, whole_numbers=True), wanted)._asdict()

    return [Scored(best_of(compare(item.prediction, reference) for reference in item.references)) for item in items]
