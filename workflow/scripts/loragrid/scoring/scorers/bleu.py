"""The scorer `bleu`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings


class BleuScorer(ScorerSettings):
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: for each example, and over all examples together (`corpus_bleu`)."""

    type: Literal["bleu"] = Field(description="Chooses this scorer.")
    tokenize: Literal["13a", "intl", "char", "zh"] = Field("13a", description="Tokenizer of `sacrebleu`.")
    lowercase: bool = Field(False, description="Ignore case.")

    example_metrics = ("bleu",)
    corpus_metrics = ("corpus_bleu",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return bleu(self.tokenize, self.lowercase)

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """BLEU, 0 to 100, as `sacrebleu.corpus_bleu` computes it: smoothed exponentially if an order has no match."""
        if not sums:
            return {"corpus_bleu": math.nan}
        from sacrebleu.metrics.bleu import BLEU

        common, predicted = ([int(sums[f"{of}/{n}"]) for n in range(1, 5)] for of in ("common", "predicted"))
        lengths = int(sums["predicted_words"]), int(sums["reference_words"])
        return {"corpus_bleu": BLEU.compute_bleu(common, predicted, *lengths, smooth_method="exp").score}


def bleu(tokenize: str, lowercase: bool) -> ScorerFunction:
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: for each sentence, up to the highest order of n-grams that it has.

    `sacrebleu` gives the counts for BLEU over all examples too. All references of an example count together.
    """
    from sacrebleu.metrics.bleu import BLEU

    scorer = BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)

    def score_one(item: Item) -> Scored:
        score = scorer.sentence_score(item.prediction, item.references)
        parts = {"predicted_words": score.sys_len, "reference_words": score.ref_len}
        for n, (common, predicted) in enumerate(zip(score.counts, score.totals, strict=True), start=1):
            parts |= {f"common/{n}": common, f"predicted/{n}": predicted}
        return Scored({"bleu": score.score}, parts=parts)

    return lambda items: [score_one(item) for item in items]
