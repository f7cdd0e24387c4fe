"""The scorer `exact_match`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import ScorerFunction, each
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import normalise_answer


class ExactMatchScorer(ScorerSettings):
    """1 if the prediction equals the reference, else 0."""

    type: Literal["exact_match"] = Field(description="Chooses this scorer.")
    normalise: bool = Field(True, description="Ignore case, punctuation, articles and extra white space, as SQuAD does.")

    example_metrics = ("exact_match",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return exact_match(self.normalise)


def exact_match(normalise: bool) -> ScorerFunction:
    """1 if the prediction equals a reference, else 0."""
    prepare: Callable[[str], str] = normalise_answer if normalise else str
    return each(lambda prediction, reference: {"exact_match": float(prepare(prediction) == prepare(reference))})
