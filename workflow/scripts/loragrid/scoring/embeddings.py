"""Scorers that compare embeddings of texts: of whole texts (SBERT) or of their tokens (BERTScore)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from loragrid.errors import UserError
from loragrid.models.device import pick_device
from loragrid.models.sequences import ENCODER_FORWARD_COST, cut_into_forward_passes, padded
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, best_of

BATCH_TOKENS = {"cpu": 4096, "cuda": 32768, "mps": 8192}


def texts_of(items: Sequence[Item]) -> list[str]:
    """All predictions and references, each once."""
    return list(dict.fromkeys(text for item in items for text in (item.prediction, *item.references)))


def sbert(encoder_folder: Path) -> ScorerFunction:
    """Cosine similarity of sentence embeddings, between -1 and 1 (Reimers & Gurevych 2019, arXiv:1908.10084).

    Each distinct text is embedded once.
    """
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(encoder_folder), local_files_only=True)

    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        mask = encoder.preprocess(texts).get("attention_mask")
        lengths = [len(text) for text in texts] if mask is None else mask.sum(1).tolist()
        vector: dict[str, Any] = {}
        # Texts of the same length need no padding; the library only sorts them by their characters.
        for indices in cut_into_forward_passes(lengths, BATCH_TOKENS[pick_device().type], ENCODER_FORWARD_COST):
            batch = [texts[i] for i in indices]
            embeddings = encoder.encode(batch, batch_size=len(batch), normalize_embeddings=True, show_progress_bar=False)
            vector |= zip(batch, embeddings, strict=True)
        return [
            Scored(best_of({"cosine": float(vector[item.prediction] @ vector[r])} for r in item.references)) for item in items
        ]

    return compare


def bertscore(encoder_folder: Path, layer: int | None, baseline: Sequence[float] | None) -> ScorerFunction:
    """BERTScore without weights (Zhang et al. 2020, arXiv:1904.09675): precision, recall and F1, each at most 1.

    Each token of a prediction is matched with the token of the reference whose embedding has the highest cosine similarity; the precision is the
    mean over the prediction's tokens, the recall that over the reference's. Special tokens can be matched, but do not count in the means. A text without
    tokens scores 0. Each distinct text is embedded once.

    Args:
        layer: whose embeddings count; 0 is the input, None the last.
        baseline: precision, recall and F1 of unrelated texts; values are rescaled so that these become 0.
    """
    from transformers import AutoModel, AutoTokenizer

    device = pick_device()
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder)
    encoder = AutoModel.from_pretrained(encoder_folder, dtype=torch.float32, use_safetensors=True).to(device).eval()
    layers = getattr(encoder.config, "num_hidden_layers", None)
    if layer is not None and layers is not None and layer > layers:
        raise UserError(f"scorer bertscore: layer {layer} is asked for, but {encoder_folder.name} has {layers}.")

    def embed(texts: Sequence[str]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """For each text the unit vectors of its tokens, shape (tokens, size), and which of them count, shape (tokens,)."""
        longest = longest_input(tokenizer, encoder.config)
        tokens = tokenizer(list(texts), truncation=True, max_length=longest, return_special_tokens_mask=True)
        ids, special = tokens["input_ids"], tokens["special_tokens_mask"]
        found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for indices, batch, mask in padded(ids, tokenizer.pad_token_id or 0, BATCH_TOKENS[device.type]):
            output = encoder(input_ids=batch.to(device), attention_mask=mask.to(device), output_hidden_states=layer is not None)
            hidden = output.last_hidden_state if layer is None else output.hidden_states[layer]
            vectors = torch.nn.functional.normalize(hidden, dim=-1)
            for row, i in enumerate(indices):
                found[texts[i]] = (vectors[row, : len(ids[i])], torch.tensor(special[i], device=device) == 0)
        return found

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        embedded = embed(texts_of(items))
        return [
            Scored(best_of(rescale(match(*embedded[item.prediction], *embedded[r]), baseline) for r in item.references))
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
    """Values in which those of the baseline are 0, and 1 stays 1."""
    if baseline is None:
        return metrics
    return {name: (value - low) / (1 - low) for (name, value), low in zip(metrics.items(), baseline, strict=True)}


def read_baseline(path: str | Path, layer: int | None) -> list[float]:
    """Precision, recall and F1 of a layer from a file of baselines of the package `bert-score`: CSV with the columns LAYER, P, R and F.

    Args:
        layer: by default the last that is listed.

    Raises:
        UserError: naming file and column, where the file is not such a file or lacks the layer.
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


def longest_input(tokenizer: Any, config: Any) -> int:
    """The most tokens that a model can read at once."""
    known = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
    limits = [limit for limit in known if limit is not None and 0 < limit < 10**6]
    # Positions of RoBERTa and its kin begin behind that of the padding.
    offset = (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert") else 0
    return min(limits, default=512) - (offset if limits and min(limits) == known[1] else 0)
