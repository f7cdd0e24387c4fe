"""Scorers that compare embeddings of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loragrid.scoring import Item, Outcome, Scored, ScorerFunction, best_of


def sbert(encoder_folder: Path) -> ScorerFunction:
    """Cosine similarity of sentence embeddings, between -1 and 1 (Reimers & Gurevych 2019, arXiv:1908.10084).

    Each distinct text is embedded once.
    """
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(encoder_folder), local_files_only=True)

    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = sorted({text for item in items for text in (item.prediction, *item.references)})
        # The encoder sorts them by length before it cuts them into batches.
        embeddings = encoder.encode(texts, normalize_embeddings=True, convert_to_numpy=True)
        vector = dict(zip(texts, embeddings, strict=True))
        return [
            Scored(best_of({"cosine": float(vector[item.prediction] @ vector[r])} for r in item.references)) for item in items
        ]

    return compare
