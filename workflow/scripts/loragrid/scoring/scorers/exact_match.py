"""The scorer `exact_match`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import ScorerFunction, each
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.answers import comparable


class ExactMatchScorer(ScorerSettings):
    """1 if the prediction equals the reference, else 0."""

    type: Literal["exact_match"] = Field(description="Chooses this scorer.")
    normalise: bool = Field(
        True,
        description="Ignore case, punctuation, articles and extra white space, as SQuAD does; but not signs that make another "
        "answer (`-5`, `3.5`, `1/2`, `C++`), nor that of which alone a reference consists (`A`, `the`, `!!!`).",
    )

    edition = 1
    example_metrics = ("exact_match",)
    limits = (0.0, 1.0)
    right_or_wrong = ("exact_match",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return exact_match(self.normalise)


def exact_match(normalise: bool) -> ScorerFunction:
    """1 if the prediction equals a reference, else 0."""

    def compare(prediction: str, reference: str) -> dict[str, float]:
        given, wanted = comparable(prediction, reference) if normalise else (prediction, reference)
        return {"exact_match": float(given == wanted)}

    return each(compare)
