"""Scorers that count what a prediction and a reference have in common: words, n-grams, characters, all of it."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from loragrid.scoring.corpus import f_score
from loragrid.scoring.protocol import Item, Scored, ScorerFunction, best_of, each
from loragrid.text.words import sentences, words


def rouge(stemmer: bool, tokenizer: Literal["default", "unicode"] = "default", split_sentences: bool = False) -> ScorerFunction:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures (Lin 2004), between 0 and 1, as the `rouge-score` package defines them.

    Args:
        stemmer: compare Porter stems, of words in ASCII.
        tokenizer: `default` finds words of Latin letters and digits only, `unicode` those of any script.
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
    """The words of any script, in the form that the `rouge-score` package asks for."""

    def __init__(self, stemmer: bool):
        from rouge_score.tokenizers import DefaultTokenizer

        self._stemmer = DefaultTokenizer(use_stemmer=True) if stemmer else None

    def tokenize(self, text: str) -> list[str]:
        if self._stemmer is None:
            return words(text)
        return [stem for word in words(text) for stem in (self._stemmer.tokenize(word) if word.isascii() else [word])]


def bleu(tokenize: str, lowercase: bool) -> ScorerFunction:
    """BLEU (Papineni et al. 2002), 0 to 100, by `sacrebleu`: of each sentence, up to the order of n-grams that it has.

    The counts for BLEU over all examples are `sacrebleu`'s too; all references of an example count together.
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


def chrf(word_order: int) -> ScorerFunction:
    """The score chrF (Popović 2015), 0 to 100, as `sacrebleu` has it: F2 over n-grams of 1 to 6 characters.

    With `word_order` the n-grams of 1 to as many words count too (chrF++, Popović 2017). Of several references the best counts, also for chrF over all examples.
    """

    def score_one(item: Item) -> Scored:
        predicted = _n_grams(item.prediction, word_order)
        compared = [_compare_n_grams(predicted, _n_grams(reference, word_order)) for reference in item.references]
        parts = max(compared, key=f_score)
        return Scored({"chrf": 100 * f_score(parts)}, parts=parts)

    return lambda items: [score_one(item) for item in items]


def _n_grams(text: str, word_order: int) -> dict[str, Counter[str]]:
    from sacrebleu.metrics.helpers import extract_all_char_ngrams, extract_word_ngrams

    tokens = [token for word in text.split() for token in _without_punctuation(word)]
    found = {f"characters_{n}": grams for n, grams in enumerate(extract_all_char_ngrams(text, 6), start=1)}
    return found | {f"words_{n}": extract_word_ngrams(tokens, n) for n in range(1, word_order + 1)}


def _without_punctuation(word: str) -> list[str]:
    """A word and the punctuation mark at its end, or else at its beginning, as in chrF++."""
    if len(word) > 1 and word[-1] in string.punctuation:
        return [word[:-1], word[-1]]
    if len(word) > 1 and word[0] in string.punctuation:
        return [word[0], word[1:]]
    return [word]


def _compare_n_grams(predicted: Mapping[str, Counter[str]], reference: Mapping[str, Counter[str]]) -> dict[str, float]:
    parts: dict[str, float] = {}
    for order, grams in predicted.items():
        wanted = reference[order]
        # Without n-grams to find, those predicted are no mistake.
        parts[f"predicted/{order}"] = grams.total() if wanted else 0
        parts[f"reference/{order}"] = wanted.total()
        parts[f"common/{order}"] = sum(min(count, wanted[gram]) for gram, count in grams.items() if gram in wanted)
    return parts


def normalise_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, SQuAD)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(normalise: bool) -> ScorerFunction:
    """1 where the prediction equals a reference, else 0."""
    prepare: Callable[[str], str] = normalise_answer if normalise else str
    return each(lambda prediction, reference: {"exact_match": float(prepare(prediction) == prepare(reference))})


def squad(items: Sequence[Item]) -> list[Scored]:
    """Exact match and F1 over words, 0 to 1, of normalised answers, as in the evaluation of SQuAD 1.1 and 2.0.

    The best reference counts for each. Where all references are empty, so must be the answer (Rajpurkar et al. 2018).
    """

    def compare(prediction: str, reference: str) -> dict[str, float]:
        given, wanted = normalise_answer(prediction), normalise_answer(reference)
        return {"exact_match": float(given == wanted), "f1": overlap(given.split(), wanted.split()).f1}

    def references(item: Item) -> list[str]:
        return [reference for reference in item.references if normalise_answer(reference)] or [""]

    return [Scored(best_of(compare(item.prediction, reference) for reference in references(item))) for item in items]


def token_f1(items: Sequence[Item]) -> list[Scored]:
    """Precision, recall and F1 over the words of any script, 0 to 1."""
    return [
        Scored(best_of(overlap(words(item.prediction), words(reference))._asdict() for reference in item.references))
        for item in items
    ]


class Overlap(NamedTuple):
    """What two bags of words have in common."""

    precision: float
    recall: float
    f1: float


def overlap(predicted: Sequence[str], wanted: Sequence[str]) -> Overlap:
    """Precision, recall and F1, 0 to 1. Two empty bags agree."""
    if not predicted or not wanted:
        return Overlap(*[float(not predicted and not wanted)] * 3)
    common = (Counter(predicted) & Counter(wanted)).total()
    return Overlap(common / len(predicted), common / len(wanted), 2 * common / (len(predicted) + len(wanted)))
