"""The scorer `number`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.numbers import read_number
from loragrid.text.words import shortened


class NumberScorer(ScorerSettings):
    """1 if prediction and reference hold the same number, else 0."""

    type: Literal["number"] = Field(description="Chooses this scorer.")
    read: Literal["first", "last"] = Field(
        "last",
        description="Which number of a text counts, if none is marked as the answer, as in `#### 18`, `\\boxed{18}` and "
        "`The answer is 18`.",
    )
    tolerance: float = Field(0.0, ge=0, description="Largest difference, as a share of the reference's number.")

    edition = 1
    example_metrics = ("number_match",)
    limits = (0.0, 1.0)
    right_or_wrong = ("number_match",)

    def reference_check(self) -> Callable[[Sequence[str]], str | None]:
        def check(references: Sequence[str]) -> str | None:
            if any(read_number(reference, self.read) is not None for reference in references):
                return None
            return f"the reference '{shortened(' '.join(references))}' holds no number."

        return check

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return number(self.read, self.tolerance)


def number(read: Literal["first", "last"], tolerance: float) -> ScorerFunction:
    """1 where prediction and reference hold the same number (`number_match`).

    Args:
        tolerance: the largest difference, as a share of the reference's number.
    """
    share = Decimal(str(tolerance))

    def score_one(item: Item) -> Outcome:
        wanted = [own for reference in item.references if (own := read_number(reference, read)) is not None]
        if not wanted:
            return Failed(f"the reference holds no number: '{shortened(' '.join(item.references))}'")
        given = read_number(item.prediction, read)
        match = given is not None and any(abs(given - own) <= share * abs(own) for own in wanted)
        return Scored({"number_match": float(match)}, "no number" if given is None else _written(given))

    return lambda items: [score_one(item) for item in items]


def _written(value: Decimal) -> str:
    """A number for the reader, with at most 28 digits."""
    return f"{value.normalize():f}" if -10 < value.adjusted() < 21 else f"{value:.6e}"
