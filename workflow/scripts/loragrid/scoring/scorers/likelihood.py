"""The scorer `likelihood`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from loragrid.records import Likelihood
from loragrid.scoring.likelihoods import NO_TOKENS, likelihoods_of
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import GivenTexts, ScorerInputs, ScorerSettings


class LikelihoodScorer(ScorerSettings):
    """How likely the reference is as the answer, under the model that is evaluated.

    `loss` in nats for each token, `bits_per_byte`; over all examples: `perplexity` and `corpus_bits_per_byte`.
    """

    type: Literal["likelihood"] = Field(description="Chooses this scorer.")

    example_metrics = ("loss", "bits_per_byte")
    corpus_metrics = ("perplexity", "corpus_bits_per_byte")
    low_is_good = ("loss", "bits_per_byte", "perplexity", "corpus_bits_per_byte")

    @property
    def given_texts(self) -> GivenTexts:
        return GivenTexts(references=True)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        def score_one(item: Item) -> Outcome:
            references = [one for one in likelihoods_of(inputs, item).values() if one.is_reference]
            return likelihood(references)

        return lambda items: [score_one(item) for item in items]

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """Of all tokens and all bytes together: long references count for more than short ones."""
        if not sums:
            return dict.fromkeys(cls.corpus_metrics, math.nan)
        per_token, per_byte = sums["nats"] / sums["tokens"], sums["nats"] / sums["bytes"]
        # Larger numbers are none in a file.
        return {"perplexity": math.exp(min(per_token, 700)), "corpus_bits_per_byte": per_byte / math.log(2)}


def likelihood(references: Sequence[Likelihood]) -> Outcome:
    """How likely the reference is: of several, the one with the lowest loss counts.

    Its tokens alone count, without an end of turn. Bytes are those of its text in UTF-8.
    """
    measured = [one for one in references if one.logprobs]
    if not measured:
        return Failed(NO_TOKENS)
    best = min(measured, key=lambda one: -sum(one.logprobs) / len(one.logprobs))
    nats, tokens, size = -sum(best.logprobs), len(best.logprobs), len(best.text.encode())
    metrics = {"loss": nats / tokens, "bits_per_byte": nats / size / math.log(2)}
    return Scored(metrics, parts={"nats": nats, "tokens": tokens, "bytes": size})
