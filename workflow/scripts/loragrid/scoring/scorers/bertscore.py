"""The scorer `bertscore`."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.scoring.encoding import BATCH_TOKENS, longest_input, texts_of, too_long, truncated_of
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, best_of
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name

if TYPE_CHECKING:
    import torch


class BertScoreScorer(ModelScorer):
    """BERTScore: precision, recall and F1 over the nearest contextual embeddings of tokens
    (Zhang et al. 2020, arXiv:1904.09675).
    """

    type: Literal["bertscore"] = Field(description="Chooses this scorer.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")
    layer: int | None = Field(None, ge=0, description="Layer whose embeddings are compared; by default the last.")
    baseline: str | None = Field(
        None,
        description="File of baselines as the package `bert-score` has them (CSV with the columns LAYER, P, R, F): values are "
        "rescaled, so that "
        "unrelated texts have about 0.",
    )

    example_metrics = ("precision", "recall", "f1")
    model_key = "encoder"
    model_section = "encoders"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        baseline = read_baseline(self.baseline, self.layer) if self.baseline else None
        return bertscore(required_model(inputs), self.layer, baseline)

    def files(self) -> dict[str, str]:
        return {} if self.baseline is None else {"baseline": self.baseline}


def bertscore(encoder_folder: Path, layer: int | None, baseline: Sequence[float] | None) -> ScorerFunction:
    """BERTScore without weights (Zhang et al. 2020, arXiv:1904.09675): precision, recall and F1, each at most 1.

    Each token of a prediction is matched with the token of the reference whose embedding has the highest cosine similarity. The
    precision is the mean over the prediction's tokens, the recall the mean over the reference's. Special tokens can match, but
    do not count in the means. A text without tokens scores 0. Each distinct text is embedded once.

    Args:
        layer: the layer whose embeddings count; 0 is the input, None the last layer.
        baseline: precision, recall and F1 of unrelated texts; values are rescaled so that these become 0.
    """
    import torch
    from transformers import AutoModel

    from loragrid.models.device import pick_device
    from loragrid.models.loading import padding_id, refuse_ids_without_embedding
    from loragrid.models.sequences import further_inputs, padded
    from loragrid.models.weights import ENCODER, load_weights

    device = pick_device()
    tokenizer = load_tokenizer(encoder_folder)
    encoder: Any = load_weights(AutoModel, encoder_folder, ENCODER, dtype=torch.float32)
    encoder = encoder.to(device).eval()
    layers = getattr(encoder.config, "num_hidden_layers", None)
    if layer is not None and layers is not None and layer > layers:
        raise UserError(f"scorer bertscore: layer {layer} is asked for, but {encoder_folder.name} has {layers}.")

    def embed(texts: Sequence[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """For each text, the unit vectors of its tokens, shape (tokens, size), and which of these count, shape (tokens,)."""
        longest = longest_input(tokenizer, encoder.config)
        tokens = tokenizer(list(texts), truncation=True, max_length=longest, return_special_tokens_mask=True)
        ids, special = tokens["input_ids"], tokens["special_tokens_mask"]
        refuse_ids_without_embedding(encoder, tokenizer, ids)
        further = further_inputs(encoder, tokens)
        embedded: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        pad = padding_id(encoder, tokenizer.pad_token_id or 0)
        for indices, batch, mask in padded(ids, pad, BATCH_TOKENS[device.type], longest):
            more = further.rows(indices, batch.shape[1], device)
            output = encoder(
                input_ids=batch.to(device), attention_mask=mask.to(device), **more, output_hidden_states=layer is not None
            )
            hidden = output.last_hidden_state if layer is None else output.hidden_states[layer]
            vectors = torch.nn.functional.normalize(hidden, dim=-1)
            for row, i in enumerate(indices):
                # A copy stands where all do: products may be rounded by where numbers stand in memory.
                own = vectors[row, : len(ids[i])].clone()
                embedded[texts[i]] = (own, torch.tensor(special[i], device=device) == 0)
        return embedded

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        embedded, long = embed(texts), too_long(tokenizer, texts, longest_input(tokenizer, encoder.config))
        return [
            Scored(
                best_of(rescale(match(*embedded[item.prediction], *embedded[r]), baseline) for r in item.references),
                truncated=truncated_of(item, long),
            )
            for item in items
        ]

    return compare


def match(
    prediction: torch.Tensor, prediction_counts: torch.Tensor, reference: torch.Tensor, reference_counts: torch.Tensor
) -> dict[str, float]:
    """Precision, recall and F1 of the greedy matching of two texts' token embeddings."""
    if not prediction_counts.any() or not reference_counts.any():
        return {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    similarity = prediction @ reference.T
    precision = float(similarity.amax(dim=1)[prediction_counts].mean())
    recall = float(similarity.amax(dim=0)[reference_counts].mean())
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def rescale(metrics: dict[str, float], baseline: Sequence[float] | None) -> dict[str, float]:
    """Rescaled values: the baseline's values become 0, and 1 stays 1."""
    if baseline is None:
        return metrics
    return {name: (value - low) / (1 - low) for (name, value), low in zip(metrics.items(), baseline, strict=True)}


def read_baseline(path: str | Path, layer: int | None) -> list[float]:
    """Precision, recall and F1 of a layer from a file of baselines of `bert-score`: CSV with the columns LAYER, P, R and F.

    Args:
        layer: by default the last layer in the file.

    Raises:
        UserError: naming file and column, if the file is not such a file or lacks the layer.
    """
    with open(path, encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    try:
        by_layer = {int(row["LAYER"]): [float(row[key]) for key in ("P", "R", "F")] for row in rows}
        return by_layer[max(by_layer) if layer is None else layer]
    except (KeyError, ValueError, TypeError):
        raise UserError(
            f"{path}: expected CSV with the columns LAYER, P, R and F, and a row for the layer that is used."
        ) from None
