"""The scorer `text_statistics`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import sentences, words

OF_TEXT = ("words", "sentences", "distinct", "copied")


class TextStatisticsScorer(ScorerSettings):
    """How an answer is written, beside how people wrote the reference.

    `words` and `sentences` are counts. `distinct` is the share of different words among all words, `copied` the share of
    sequences of words that stand in the input of the question too. The same numbers of the first reference have `reference_` in
    front. `shared` is the number of different words that answer and reference have in common, as a share of those that either
    has (Jaccard). Shares are 0 to 1, and 0 for a text without words.
    """

    type: Literal["text_statistics"] = Field(description="Chooses this scorer.")
    sequence: int = Field(3, ge=1, le=100, description="Words in a row that count as `copied`, if the input has them too.")

    example_metrics = (*OF_TEXT, *(f"reference_{name}" for name in OF_TEXT), "shared")
    reads_examples = True

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return partial(text_statistics, sequence=self.sequence)


def text_statistics(items: Sequence[Item], sequence: int) -> list[Scored]:
    """Counts and shares of each answer and of its first reference, as the scorer's class says.

    Args:
        sequence: how many words in a row count as copied.
    """

    def of_text(text: str, asked: str) -> tuple[float, float, float, float]:
        found = words(text)
        own = _in_a_row(found, sequence)
        known = set(_in_a_row(words(asked), sequence))
        copied = sum(one in known for one in own) / (len(own) or 1)
        return len(found), len(sentences(text)), len(set(found)) / (len(found) or 1), copied

    def score_one(item: Item) -> Scored:
        answer, reference = item.prediction, item.references[0]
        found = dict(zip(OF_TEXT, of_text(answer, item.input), strict=True))
        found |= zip((f"reference_{name}" for name in OF_TEXT), of_text(reference, item.input), strict=True)
        in_answer, in_reference = set(words(answer)), set(words(reference))
        found["shared"] = len(in_answer & in_reference) / (len(in_answer | in_reference) or 1)
        return Scored(found)

    return [score_one(item) for item in items]


def _in_a_row(found: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return [tuple(found[i : i + length]) for i in range(len(found) - length + 1)]
