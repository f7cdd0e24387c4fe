"""The scorer `squad`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.counts import overlap
from loragrid.scoring.protocol import Item, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.answers import answer_words, comparable


class SquadScorer(ScorerSettings):
    """Exact match and F1 over words, 0 to 1, as in the evaluation of SQuAD (Rajpurkar et al. 2016), where normalising leaves a
    reference its meaning.
    """

    type: Literal["squad"] = Field(description="Chooses this scorer.")

    edition = 1
    example_metrics = ("exact_match", "f1")
    limits = (0.0, 1.0)
    right_or_wrong = ("exact_match",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return squad


def squad(items: Sequence[Item]) -> list[Scored]:
    """Exact match and F1 over words, 0 to 1, of normalised answers, as in the evaluation of SQuAD 1.1 and 2.0.

    The best reference counts for each metric. If all references are empty, the answer must be empty too (Rajpurkar et al. 2018).
    Three things differ: a reference that normalising would empty ("A", "!!!") is compared as it is, signs stay that make another
    answer ("-5", "3.5"), and the words of scripts without spaces are their characters.
    """

    def compare(prediction: str, reference: str) -> dict[str, float]:
        given, wanted = comparable(prediction, reference)
        return {"exact_match": float(given == wanted), "f1": overlap(answer_words(given), answer_words(wanted)).f1}

    def references(item: Item) -> list[str]:
        return [reference for reference in item.references if reference.strip()] or [""]

    return [Scored(best_of(compare(item.prediction, reference) for reference in references(item))) for item in items]
