"""The scorer `perplexity`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.scoring.encoding import BATCH_TOKENS, longest_input, texts_of, truncated_of
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name

if TYPE_CHECKING:
    import torch

NO_TOKENS = ("the answer has no tokens", "the reference has no tokens")
"""Why a text has no perplexity, for each metric."""


class PerplexityScorer(ModelScorer):
    """Perplexity of the answer under a base model, and of the reference (`reference_perplexity`): low for usual text."""

    type: Literal["perplexity"] = Field(description="Chooses this scorer.")
    model: Name = Field(description="Name of the base model, from `models`.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Number type; it is the same everywhere, so that values can be compared."
    )

    example_metrics = ("perplexity", "reference_perplexity")
    low_is_good = ("perplexity", "reference_perplexity")
    model_key = "model"
    model_section = "models"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return perplexity(required_model(inputs), self.dtype)


def perplexity(model_folder: Path, dtype: str) -> ScorerFunction:
    """Perplexity of prediction and reference under a base model: e to the mean negative log-likelihood of a token, at least 1.

    A text stands by itself, behind the token that begins texts (or, if a model has no such token, the token that ends them). Its
    end-of-text token does not count, as in Hugging Face `evaluate`. A text without tokens has no perplexity. If there are several
    references, the one with the lowest perplexity counts.
    """
    import torch

    from loragrid.models.device import pick_device
    from loragrid.models.loading import load_base_model, refuse_ids_without_embedding
    from loragrid.models.rope import stretches_of
    from loragrid.models.sequences import padded

    device = pick_device()
    tokenizer = load_tokenizer(model_folder)
    model = load_base_model(model_folder, dtype, device=device)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise UserError(f"scorer perplexity: the tokenizer of {model_folder.name} has no token that begins or ends a text.")
    longest = longest_input(tokenizer, model.config)

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        ids = [[start, *tokenizer(text, add_special_tokens=False, verbose=False).input_ids] for text in texts]
        refuse_ids_without_embedding(model, tokenizer, ids)
        long = {text for text, of_text in zip(texts, ids, strict=True) if len(of_text) > longest}
        ids = [of_text[:longest] for of_text in ids]
        of_texts = dict.fromkeys(texts, math.nan)
        several = [i for i, of_text in enumerate(ids) if len(of_text) > 1]
        read = [ids[i] for i in several]
        for indices, batch, mask in padded(read, 0, BATCH_TOKENS[device.type], longest, stretches_of(model)):
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device), use_cache=False).logits[:, :-1]
            means = mean_losses(logits, batch[:, 1:].to(device), mask[:, 1:].to(device)).tolist()
            of_texts |= {texts[several[i]]: math.exp(min(mean, 700)) for i, mean in zip(indices, means, strict=True)}
        outcomes: list[Outcome] = []
        for item in items:
            own = of_texts[item.prediction]
            of_references = [value for r in item.references if not math.isnan(value := of_texts[r])]
            metrics = {"perplexity": own, "reference_perplexity": min(of_references, default=math.nan)}
            undefined = dict(zip(metrics, NO_TOKENS, strict=True))
            outcomes.append(Scored(metrics, undefined=undefined, truncated=truncated_of(item, long)))
        return outcomes

    return compare


def mean_losses(logits: torch.Tensor, targets: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """The mean negative log-likelihood of each text's tokens.

    Args:
        logits: shape (texts, tokens, vocabulary).
        targets: the tokens that follow, shape (texts, tokens).
        counts: 1 for tokens that count, 0 for padding; shape (texts, tokens).
    """
    # PyTorch's cross entropy adds up a large vocabulary in a few long sums: float32 loses digits, on some processors more.
    logits = logits.float()
    losses = logits.logsumexp(2).double() - logits.gather(2, targets[..., None])[..., 0]
    return (losses * counts).sum(1) / counts.sum(1)
