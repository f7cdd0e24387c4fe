"""The scorer `rouge`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from loragrid.runtime.job import log
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import one_form, sentences, share_in_other_scripts, shortened, words

Tokenizer = Literal["default", "unicode"]


UNICODE = "tokenizer: unicode"
"""What a row says where the tokenizer was chosen by the script."""


class RougeScorer(ScorerSettings):
    """ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum F-measures (Lin 2004), 0 to 1, by the `rouge-score` package."""

    type: Literal["rouge"] = Field(description="Chooses this scorer.")
    stemmer: bool = Field(True, description="Compare word stems (Porter, for English) instead of words.")
    tokenizer: Tokenizer = Field(
        "default",
        description="`default`: words of Latin letters and digits, as the package has it; but where a quarter or more of a "
        "reference's words are in another script, or no word has such a letter (`é`), `unicode`, which the row then says. "
        "`unicode`: words of any script, and single characters of scripts that are written without spaces.",
    )
    split_sentences: bool = Field(
        False, description="For ROUGE-Lsum: cut texts into sentences; by default each line is one, as the package has it."
    )

    edition = 1
    example_metrics = ("rouge1", "rouge2", "rougeL", "rougeLsum")
    limits = (0.0, 1.0)
    starts_slowly = True
    packages = ("rouge-score",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return rouge(self.stemmer, self.tokenizer, self.split_sentences)


OTHER_SCRIPT = 0.25
"""Share of a reference's words in other scripts than Latin at which words of all scripts are compared."""


def rouge(stemmer: bool, tokenizer: Tokenizer = "default", split_sentences: bool = False) -> ScorerFunction:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures (Lin 2004), between 0 and 1, as the `rouge-score` package defines them.

    A reference without words in any script is a failure.

    Args:
        stemmer: compare Porter stems, of words in ASCII.
        tokenizer: `default` finds words of Latin letters and digits only, except where a reference is in another script or has
            no such word; `unicode` finds words of any script.
        split_sentences: for ROUGE-Lsum, compare sentence by sentence instead of line by line.
    """
    from rouge_score.rouge_scorer import RougeScorer as Rouge

    def scorer_with(chosen: UnicodeTokenizer | None) -> Rouge:
        return Rouge(list(RougeScorer.example_metrics), use_stemmer=stemmer, tokenizer=chosen)

    latin, any_script = scorer_with(None), scorer_with(UnicodeTokenizer(stemmer))

    def is_in_another_script(references: Sequence[str]) -> bool:
        without_latin = (text for text in references if not re.search(r"[A-Za-z0-9]", text))
        return share_in_other_scripts(" ".join(references)) >= OTHER_SCRIPT or any(map(words, without_latin))

    def prepared(text: str) -> str:
        return "\n".join(sentences(one_form(text))) if split_sentences else one_form(text)

    def score_one(item: Item) -> Outcome:
        reads_all = tokenizer == "unicode" or is_in_another_script(item.references)
        if not any(map(words, item.references)):
            return Failed(f"the reference has no words to compare: '{shortened(' '.join(item.references))}'")
        scorer, prediction = any_script if reads_all else latin, prepared(item.prediction)
        found = (scorer.score(prepared(reference), prediction) for reference in item.references)
        metrics = best_of({name: value.fmeasure for name, value in of_reference.items()} for of_reference in found)
        return Scored(metrics, UNICODE if reads_all and tokenizer == "default" else None)

    def score(items: Sequence[Item]) -> list[Outcome]:
        outcomes = [score_one(item) for item in items]
        if chosen := sum(isinstance(outcome, Scored) and outcome.detail == UNICODE for outcome in outcomes):
            log.info("%d references are in another script than plain Latin: %s", chosen, UNICODE)
        return outcomes

    return score


class UnicodeTokenizer:
    """A tokenizer for the words of any script, in the form that the `rouge-score` package asks for."""

    def __init__(self, stemmer: bool):
        from rouge_score.tokenizers import DefaultTokenizer

        self._stemmer = DefaultTokenizer(use_stemmer=True) if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        if self._stemmer is None:
            return words(text)
        return [stem for word in words(text) for stem in (self._stemmer.tokenize(word) if word.isascii() else [word])]
