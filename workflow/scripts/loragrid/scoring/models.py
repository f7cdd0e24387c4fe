"""Scorers that ask another model about an answer: a reward model how good it is, a language model how usual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from loragrid.errors import UserError
from loragrid.models.device import pick_device
from loragrid.models.sequences import padded
from loragrid.records import question
from loragrid.scoring.embeddings import BATCH_TOKENS, longest_input, texts_of
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction


def reward(model_folder: Path, label: int) -> ScorerFunction:
    """Scores of a reward model, in its own unit, for the prediction and the reference, and the preference between them, 0 to 1.

    The preference is that of Bradley & Terry (1952): the softmax over both scores. Of several references the one with the highest score counts. A
    model with a chat template reads question and answer as a conversation, any other as a pair of texts. The end of what is too long is cut.

    Args:
        label: which output of the classifier is the score.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    device = pick_device()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForSequenceClassification.from_pretrained(model_folder, dtype=torch.float32, use_safetensors=True)
    model = model.to(device).eval()
    if label >= model.config.num_labels:
        raise UserError(
            f"scorer reward: label {label} is asked for, but {model_folder.name} has {model.config.num_labels} (from 0)."
        )
    if tokenizer.pad_token_id is not None:
        # Such models find an answer's last token by looking for padding behind it.
        model.config.pad_token_id = tokenizer.pad_token_id
    longest = longest_input(tokenizer, model.config)

    def encode(asked: str, answer: str) -> list[int]:
        if tokenizer.chat_template is None:
            pair = (asked, answer) if asked else (answer,)
            ids: list[int] = tokenizer(*pair, truncation=True, max_length=longest).input_ids
            return ids
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        ids = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True)["input_ids"]
        return ids[:longest]

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        asked = [(question(item), answer) for item in items for answer in dict.fromkeys((item.prediction, *item.references))]
        pairs = list(dict.fromkeys(asked))
        ids = [encode(*pair) for pair in pairs]
        found: dict[tuple[str, str], float] = {}
        # Without a token for padding a model takes one text at a time.
        most = BATCH_TOKENS[device.type] if tokenizer.pad_token_id is not None else 1
        for indices, batch, mask in padded(ids, tokenizer.pad_token_id or 0, most):
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device)).logits[:, label].tolist()
            found |= {pairs[i]: value for i, value in zip(indices, logits, strict=True)}
        outcomes: list[Outcome] = []
        for item in items:
            own = found[question(item), item.prediction]
            best = max(found[question(item), r] for r in item.references)
            outcomes.append(Scored({"reward": own, "reference_reward": best, "preference": preference(own, best)}))
        return outcomes

    return compare


def preference(own: float, other: float) -> float:
    """The share of the first in the softmax over two scores."""
    difference = own - other
    return 1 / (1 + math.exp(-difference)) if difference >= 0 else math.exp(difference) / (1 + math.exp(difference))


def perplexity(model_folder: Path, dtype: str) -> ScorerFunction:
    """Perplexity of the prediction, and of the reference, under a base model: e to the mean negative log-likelihood of a token, at least 1.

    A text stands by itself behind the token that begins texts (or, where a model has none, the one that ends them); its end-of-text token does not count,
    as in Hugging Face `evaluate`. A text without tokens has no perplexity. Of several references the most usual counts.
    """
    from transformers import AutoTokenizer

    from loragrid.models.loading import load_base_model

    device = pick_device()
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = load_base_model(model_folder, dtype, device=device)
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    if start is None:
        raise UserError(f"scorer perplexity: the tokenizer of {model_folder.name} has no token that begins or ends a text.")
    longest = longest_input(tokenizer, model.config)

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        texts = texts_of(items)
        ids = [[start, *tokenizer(text, add_special_tokens=False).input_ids][:longest] for text in texts]
        found = dict.fromkeys(texts, math.nan)
        several = [i for i, of_text in enumerate(ids) if len(of_text) > 1]
        for indices, batch, mask in padded([ids[i] for i in several], 0, BATCH_TOKENS[device.type] // 4):
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device), use_cache=False).logits[:, :-1].float()
            targets = batch[:, 1:].to(device)
            losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
            counting = mask[:, 1:].to(device)
            means = ((losses * counting).sum(1) / counting.sum(1)).tolist()
            found |= {texts[several[i]]: math.exp(min(mean, 700)) for i, mean in zip(indices, means, strict=True)}
        outcomes: list[Outcome] = []
        for item in items:
            own = found[item.prediction]
            of_references = [value for r in item.references if not math.isnan(value := found[r])]
            metrics = {"perplexity": own, "reference_perplexity": min(of_references, default=math.nan)}
            outcomes.append(Failed("the answer has no tokens") if math.isnan(own) else Scored(metrics))
        return outcomes

    return compare
