"""Scorers: predictions and references become numbers, one row per example and metric."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from loragrid.config import ExactMatchScorer, RougeScorer, SbertScorer, Scorer
from loragrid.records import Prediction, Score

Metrics = dict[str, float]


class ScorerFunction(Protocol):
    """Takes the predictions and, for each, its references; gives the metrics of each, in the same order."""

    def __call__(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[Metrics]: ...


def score(name: str, scorer: ScorerFunction, predictions: Sequence[Prediction]) -> list[Score]:
    """Rows for every prediction and metric; a value that is not finite becomes a row with a status.

    Of several answers that have a reference each, the row is their mean; joined answers are scored as one text.
    """
    texts, references, owners = [], [], []
    for i, prediction in enumerate(predictions):
        parts = prediction.parts
        if prediction.answers == "joined":
            parts = [parts[0] | {"prediction": "\n".join(part["prediction"] for part in parts)}]
        texts += [part["prediction"] for part in parts]
        references += [part["reference"] for part in parts]
        owners += [i] * len(parts)
    of_prediction: list[list[Metrics]] = [[] for _ in predictions]
    for owner, metrics in zip(owners, scorer(texts, references), strict=True):
        of_prediction[owner].append(metrics)
    rows = []
    for prediction, scored in zip(predictions, of_prediction, strict=True):
        for metric in scored[0]:
            value = sum(metrics[metric] for metrics in scored) / len(scored)
            finite = math.isfinite(value)
            status = "ok" if finite else f"failed: the value is {value}"
            of_answer = {"id": prediction.id, "sample": prediction.sample, "scorer": name, "metric": metric}
            rows.append(Score(**of_answer, value=value if finite else None, status=status))
    return rows


def make_scorer(settings: Scorer, encoder_folder: Path | None) -> ScorerFunction:
    """The scorer that a configuration entry describes."""
    match settings:
        case RougeScorer():
            return rouge(settings.stemmer)
        case ExactMatchScorer():
            return exact_match(settings.normalise)
        case SbertScorer():
            assert encoder_folder is not None
            return sbert(encoder_folder)


def best_of(metrics: Iterable[Metrics]) -> Metrics:
    """For several references, the highest value of each metric."""
    best: Metrics = {}
    for one in metrics:
        best = {name: max(value, best.get(name, value)) for name, value in one.items()}
    return best


def rouge(stemmer: bool) -> ScorerFunction:
    """ROUGE-1, ROUGE-2 and ROUGE-L F-measures (Lin 2004), between 0 and 1, as the `rouge-score` package defines them."""
    from rouge_score.rouge_scorer import RougeScorer as Rouge

    scorer = Rouge(["rouge1", "rouge2", "rougeL"], use_stemmer=stemmer)

    def compare(prediction: str, reference: str) -> Metrics:
        return {name: value.fmeasure for name, value in scorer.score(reference, prediction).items()}

    return lambda predictions, references: [
        best_of(compare(p, r) for r in rs) for p, rs in zip(predictions, references, strict=True)
    ]


def normalise_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, SQuAD)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(normalise: bool) -> ScorerFunction:
    """1 where the prediction equals a reference, else 0."""
    prepare: Callable[[str], str] = normalise_answer if normalise else str
    return lambda predictions, references: [
        {"exact_match": float(prepare(p) in {prepare(r) for r in rs})} for p, rs in zip(predictions, references, strict=True)
    ]


def sbert(encoder_folder: Path) -> ScorerFunction:
    """Cosine similarity of sentence embeddings, between -1 and 1 (Reimers & Gurevych 2019, arXiv:1908.10084).

    Each distinct text is embedded once.
    """

    def compare(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> list[Metrics]:
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(str(encoder_folder), local_files_only=True)
        texts = sorted({*predictions, *(r for rs in references for r in rs)})
        embeddings = encoder.encode(texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=True)
        vector = dict(zip(texts, embeddings, strict=True))
        return [
            best_of({"cosine": float(vector[p] @ vector[r])} for r in rs) for p, rs in zip(predictions, references, strict=True)
        ]

    return compare
