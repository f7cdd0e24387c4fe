"""The scorer `chrf`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import one_form

CHARACTERS = 6
"""Longest n-grams of characters."""


COUNTS = ("predicted", "reference", "common")
"""The counts for each order of n-grams, in `sacrebleu`'s order."""


class ChrfScorer(ScorerSettings):
    """chrF (Popović 2015), 0 to 100, by `sacrebleu`: for each example, and over all examples together (`corpus_chrf`)."""

    type: Literal["chrf"] = Field(description="Chooses this scorer.")
    word_order: int = Field(0, ge=0, le=4, description="Longest word n-grams; 2 is chrF++.")

    edition = 1
    example_metrics = ("chrf",)
    limits = (0.0, 100.0)
    corpus_metrics = ("corpus_chrf",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return chrf(self.word_order)

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """The score chrF, 0 to 100, as `sacrebleu.corpus_chrf` computes it."""
        if not sums:
            return {"corpus_chrf": math.nan}
        from sacrebleu.metrics.chrf import CHRF

        orders = [order for count, _, order in (key.partition("/") for key in sums) if count == "common"]
        counts = [sums[f"{count}/{order}"] for order in orders for count in COUNTS]
        return {"corpus_chrf": CHRF(CHARACTERS, len(orders) - CHARACTERS)._compute_f_score(counts)}


def chrf(word_order: int) -> ScorerFunction:
    """The score chrF (Popović 2015), 0 to 100, as `sacrebleu` computes it: F2 over n-grams of 1 to 6 characters.

    With `word_order`, n-grams of 1 to `word_order` words count too (chrF++, Popović 2017). If there are several references, the
    best counts, also for chrF over all examples.
    """
    from sacrebleu.metrics.chrf import CHRF

    scorer = CHRF(CHARACTERS, word_order)
    orders = [f"characters_{n}" for n in range(1, CHARACTERS + 1)] + [f"words_{n}" for n in range(1, word_order + 1)]
    names = [f"{count}/{order}" for order in orders for count in COUNTS]

    def score_one(item: Item) -> Scored:
        prediction, *references = [one_form(text) for text in (item.prediction, *item.references)]
        # A result of BLEU holds its counts, a result of chrF does not. They come from functions that `corpus_score` calls.
        [counts] = scorer._extract_corpus_statistics([prediction], [[reference] for reference in references])
        return Scored({"chrf": scorer._compute_f_score(counts)}, parts=dict(zip(names, counts, strict=True)))

    return lambda items: [score_one(item) for item in items]
