"""The scorer `sbert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loragrid.scoring.encoding import BATCH_TOKENS, texts_of, too_long, truncated_of
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


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
    from loragrid.models.loading import load_sentence_encoder

    encoder = load_sentence_encoder(encoder_folder)

    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        long = too_long(encoder.tokenizer, texts, encoder.max_seq_length) if reads_at_most(encoder) else ()
        vector = embed(encoder, texts)
        return [
            Scored(
                best_of({"cosine": float(vector[item.prediction] @ vector[r])} for r in item.references),
                truncated=truncated_of(item, long),
            )
            for item in items
        ]

    return compare


def embed(encoder: SentenceTransformer, texts: Sequence[str]) -> dict[str, Any]:
    """The unit vector of each text, the same whatever the other texts are."""
    from loragrid.models.device import pick_device
    from loragrid.models.sequences import alike_batches

    told: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    prompt = encoder.prompts.get(encoder.default_prompt_name) if encoder.default_prompt_name else None
    mask = encoder.preprocess(texts, prompt=prompt).get("attention_mask") if texts else None
    if mask is None:
        # Such encoders add up vectors of words, each text for itself.
        return dict(zip(texts, encoder.encode(list(texts), **told), strict=True))
    longest = encoder.max_seq_length if reads_at_most(encoder) else 0
    vector: dict[str, Any] = {}
    for indices, width in alike_batches(mask.sum(1).tolist(), BATCH_TOKENS[pick_device().type], longest):
        batch = [texts[i] for i in indices]
        widened = {"text": {"padding": "max_length", "max_length": width}}
        vector |= zip(batch, encoder.encode(batch, batch_size=len(batch), processing_kwargs=widened, **told), strict=True)
    return vector


def reads_at_most(encoder: Any) -> bool:
    """Whether an encoder cuts texts: some, such as those of static embeddings, read any length."""
    return isinstance(encoder.max_seq_length, int) and callable(encoder.tokenizer)
