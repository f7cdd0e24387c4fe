"""The scorer `reward`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.records import question
from loragrid.scoring.encoding import BATCH_TOKENS, longest_input
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name


class RewardScorer(ModelScorer):
    """Scores by a reward model: for the prediction (`reward`) and for the reference, and the preference for the prediction.

    The `preference` is the softmax over both scores (Bradley & Terry 1952).
    """

    type: Literal["reward"] = Field(description="Chooses this scorer.")
    model: Name = Field(description="Name of the reward model, from `reward_models`.")
    label: int = Field(0, ge=0, description="Which output of the classifier is the score.")

    example_metrics = ("reward", "reference_reward", "preference")
    reads_examples = True
    model_key = "model"
    model_section = "reward_models"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return reward(required_model(inputs), self.label)

    def worst_values(self) -> dict[str, float | None]:
        return dict.fromkeys(self.example_metrics)


def reward(model_folder: Path, label: int) -> ScorerFunction:
    """Scores of a reward model, in its own unit, for the prediction and the reference, and the preference between them, 0 to 1.

    The preference follows Bradley & Terry (1952): the softmax over both scores. If there are several references, the one with the
    highest score counts. A model with a chat template reads question and answer as a conversation, any other model as a pair of
    texts. The end of a text that is too long is cut.

    Args:
        label: which output of the classifier is the score.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from loragrid.models.device import pick_device
    from loragrid.models.rope import stretches_of
    from loragrid.models.sequences import padded

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
        scores: dict[tuple[str, str], float] = {}
        # A model without a token for padding takes one text at a time.
        most = BATCH_TOKENS[device.type] if tokenizer.pad_token_id is not None else 1
        for indices, batch, mask in padded(ids, tokenizer.pad_token_id or 0, most, stretches_of(model)):
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device)).logits[:, label].tolist()
            scores |= {pairs[i]: score for i, score in zip(indices, logits, strict=True)}
        outcomes: list[Outcome] = []
        for item in items:
            own = scores[question(item), item.prediction]
            best = max(scores[question(item), r] for r in item.references)
            outcomes.append(Scored({"reward": own, "reference_reward": best, "preference": preference(own, best)}))
        return outcomes

    return compare


def preference(own: float, other: float) -> float:
    """The share of the first score in the softmax over both."""
    difference = own - other
    return 1 / (1 + math.exp(-difference)) if difference >= 0 else math.exp(difference) / (1 + math.exp(difference))
