"""The scorer `sbert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from loragrid.scoring.encoding import BATCH_TOKENS, texts_of
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name


class SbertScorer(ModelScorer):
    """Cosine similarity of sentence embeddings (Reimers & Gurevych 2019)."""

    type: Literal["sbert"] = Field(description="Chooses this scorer.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")

    example_metrics = ("cosine",)
    model_key = "encoder"
    model_section = "encoders"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return sbert(required_model(inputs))


def sbert(encoder_folder: Path) -> ScorerFunction:
    """Cosine similarity of sentence embeddings, between -1 and 1 (Reimers & Gurevych 2019, arXiv:1908.10084).

    Each distinct text is embedded once.
    """
    from loragrid.models.device import pick_device
    from loragrid.models.loading import load_sentence_encoder
    from loragrid.models.sequences import ENCODER_FORWARD_COST, cut_into_forward_passes

    encoder = load_sentence_encoder(encoder_folder)

    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        mask = encoder.preprocess(texts).get("attention_mask")
        lengths = [len(text) for text in texts] if mask is None else mask.sum(1).tolist()
        vector: dict[str, Any] = {}
        # Texts of the same length in tokens need no padding; the library itself sorts texts by characters only.
        for indices in cut_into_forward_passes(lengths, BATCH_TOKENS[pick_device().type], ENCODER_FORWARD_COST):
            batch = [texts[i] for i in indices]
            embeddings = encoder.encode(batch, batch_size=len(batch), normalize_embeddings=True, show_progress_bar=False)
            vector |= zip(batch, embeddings, strict=True)
        return [
            Scored(best_of({"cosine": float(vector[item.prediction] @ vector[r])} for r in item.references)) for item in items
        ]

    return compare
