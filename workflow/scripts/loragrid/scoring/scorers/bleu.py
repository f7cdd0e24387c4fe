"""The scorer `bleu`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal

from pydantic import Field

from loragrid.runtime.job import log
from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import UNSPACED, compiled, one_form, share_without_spaces

Tokenizer = Literal["13a", "intl", "char", "zh"]


WITHOUT_SPACES = 0.25
"""Share of a reference's words, in scripts without spaces between words, at which these scripts' tokenizers are chosen."""


class BleuScorer(ScorerSettings):
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: for each example, and over all examples together (`corpus_bleu`)."""

    type: Literal["bleu"] = Field(description="Chooses this scorer.")
    tokenize: Tokenizer = Field(
        "13a",
        description="Tokenizer of `sacrebleu`. Where a quarter or more of a reference's words are in a script without spaces "
        "between them, `13a` and `intl` are replaced by `zh` (Chinese) or `char` (others), which the row then says.",
    )
    lowercase: bool = Field(False, description="Ignore case.")

    edition = 1
    example_metrics = ("bleu",)
    limits = (0.0, 100.0)
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


def bleu(tokenize: Tokenizer, lowercase: bool) -> ScorerFunction:
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: for each sentence, up to the highest order of n-grams that it has.

    `sacrebleu` gives the counts for BLEU over all examples too. All references of an example count together.
    """
    from sacrebleu.metrics.bleu import BLEU

    @cache
    def scorer_with(chosen: str) -> BLEU:
        return BLEU(tokenize=chosen, lowercase=lowercase, effective_order=True)

    def score_one(item: Item) -> Scored:
        texts = [one_form(text) for text in (item.prediction, *item.references)]
        chosen = tokenizer_for(tokenize, item.references)
        score = scorer_with(chosen).sentence_score(texts[0], texts[1:])
        parts = {"predicted_words": score.sys_len, "reference_words": score.ref_len}
        for n, (common, predicted) in enumerate(zip(score.counts, score.totals, strict=True), start=1):
            parts |= {f"common/{n}": common, f"predicted/{n}": predicted}
        return Scored({"bleu": score.score}, None if chosen == tokenize else f"tokenize: {chosen}", parts)

    def score(items: Sequence[Item]) -> list[Scored]:
        outcomes = [score_one(item) for item in items]
        for detail, number in Counter(outcome.detail for outcome in outcomes if outcome.detail).items():
            log.info("%d references are in a script without spaces between words: %s", number, detail)
        return outcomes

    return score


def tokenizer_for(tokenize: Tokenizer, references: Sequence[str]) -> Tokenizer:
    """The tokenizer for an example: one that takes words to be divided by spaces is replaced where they are not."""
    text = " ".join(references)
    if tokenize not in ("13a", "intl") or share_without_spaces(text) < WITHOUT_SPACES:
        return tokenize
    # That for Chinese cuts no other script.
    return "char" if compiled(rf"[{UNSPACED}--\p{{scx=Han}}]").search(text) else "zh"
