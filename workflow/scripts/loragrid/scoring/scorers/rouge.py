"""The scorer `rouge`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import ScorerFunction, each
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import sentences, words

Tokenizer = Literal["default", "unicode"]


class RougeScorer(ScorerSettings):
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures (Lin 2004), 0 to 1, by the `rouge-score` package."""

    type: Literal["rouge"] = Field(description="Chooses this scorer.")
    stemmer: bool = Field(True, description="Compare word stems (Porter, for English) instead of words.")
    tokenizer: Tokenizer = Field(
        "default",
        description="`default`: words of Latin letters and digits, as the package has it; `unicode`: words of any script, and "
        "single characters of "
        "scripts that are written without spaces.",
    )
    split_sentences: bool = Field(
        False, description="For ROUGE-Lsum: cut texts into sentences; by default each line is one, as the package has it."
    )

    example_metrics = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    starts_slowly = True
    packages = ("rouge-score",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return rouge(self.stemmer, self.tokenizer, self.split_sentences)


def rouge(stemmer: bool, tokenizer: Tokenizer = "default", split_sentences: bool = False) -> ScorerFunction:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures (Lin 2004), between 0 and 1, as the `rouge-score` package defines them.

    Args:
        stemmer: compare Porter stems, of words in ASCII.
        tokenizer: `default` finds words of Latin letters and digits only, `unicode` words of any script.
        split_sentences: for ROUGE-Lsum, compare sentence by sentence instead of line by line.
    """
    from rouge_score.rouge_scorer import RougeScorer as Rouge

    chosen = UnicodeTokenizer(stemmer) if tokenizer == "unicode" else None
    scorer = Rouge(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stemmer, tokenizer=chosen)
    prepare: Callable[[str], str] = (lambda text: "\n".join(sentences(text))) if split_sentences else str

    def compare(prediction: str, reference: str) -> dict[str, float]:
        return {name: value.fmeasure for name, value in scorer.score(prepare(reference), prepare(prediction)).items()}

    return each(compare)


class UnicodeTokenizer:
    """A tokenizer for the words of any script, in the form that the `rouge-score` package asks for."""

    def __init__(self, stemmer: bool):
        from rouge_score.tokenizers import DefaultTokenizer

        self._stemmer = DefaultTokenizer(use_stemmer=True) if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        if self._stemmer is None:
            return words(text)
        return [stem for word in words(text) for stem in (self._stemmer.tokenize(word) if word.isascii() else [word])]
