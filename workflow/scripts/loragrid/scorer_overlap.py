"""Scorers that count what a prediction and a reference have in common: words, n-grams, characters, all of it."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

from loragrid.scoring import ScorerFunction, each


def rouge(stemmer: bool) -> ScorerFunction:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures (Lin 2004), between 0 and 1, as the `rouge-score` package defines them."""
    from rouge_score.rouge_scorer import RougeScorer as Rouge

    scorer = Rouge(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stemmer)
    return each(lambda prediction, reference: {n: v.fmeasure for n, v in scorer.score(reference, prediction).items()})


def normalise_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, SQuAD)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(normalise: bool) -> ScorerFunction:
    """1 where the prediction equals a reference, else 0."""
    prepare: Callable[[str], str] = normalise_answer if normalise else str
    return each(lambda prediction, reference: {"exact_match": float(prepare(prediction) == prepare(reference))})
