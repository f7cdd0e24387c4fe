"""The scorer `reward`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loragrid.data.chat import ChatFormat, write_chat
from loragrid.data.control_tokens import control_tokens, ids_of_prompt
from loragrid.errors import UserError
from loragrid.records import question
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.scoring.encoding import BATCH_TOKENS, Fitted, fit, longest_input
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction, Text
from loragrid.scoring.scorer import ModelScorer, ScorerInputs, required_model
from loragrid.sections import Name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class RewardScorer(ModelScorer):
    """Scores by a reward model: for the prediction (`reward`) and for the reference, and the preference for the prediction.

    The `preference` is the softmax over both scores (Bradley & Terry 1952).
    """

    type: Literal["reward"] = Field(description="Chooses this scorer.")
    model: Name = Field(description="Name of the reward model, from `reward_models`.")
    label: int = Field(0, ge=0, description="Which output of the classifier is the score.")

    edition = 1
    example_metrics = ("reward", "reference_reward", "preference")
    reads_examples = True
    kind = "judge"
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
    texts. Where both are too long together, the beginning of the question is cut.

    Args:
        label: which output of the classifier is the score.
    """
    import torch

    from loragrid.models.device import pick_device
    from loragrid.models.loading import refuse_ids_without_embedding
    from loragrid.models.rope import stretches_of
    from loragrid.models.sequences import further_inputs, padded

    device = pick_device()
    tokenizer = load_tokenizer(model_folder)
    model = load_reward_model(model_folder, label).to(device)
    if (pad := padding(tokenizer, model)) is not None:
        # Such models find an answer's last token by looking for padding behind it.
        model.config.pad_token_id = pad
    longest = longest_input(tokenizer, model.config)

    encode = pair_encoder(tokenizer) if tokenizer.chat_template is None else conversation_encoder(tokenizer, model_folder.name)

    def nb_tokens(asked: str, answer: str) -> int:
        return len(encode(asked, answer)["input_ids"])

    @torch.inference_mode()
    def compare(items: Sequence[Item]) -> list[Outcome]:
        asked = [(question(item), answer) for item in items for answer in dict.fromkeys((item.prediction, *item.references))]
        pairs = list(dict.fromkeys(asked))
        fitted = {pair: fit(tokenizer, nb_tokens, *pair, longest) for pair in pairs}
        whole = [encode(*fitted[pair][:2]) for pair in pairs]
        encoded = [{name: values[:longest] for name, values in one.items()} for one in whole]
        ids = [one["input_ids"] for one in encoded]
        refuse_ids_without_embedding(model, tokenizer, ids)
        further = further_inputs(model, {name: [one[name] for one in encoded] for name in (encoded[0] if encoded else ())})
        scores: dict[tuple[str, str], float] = {}
        # A model without a token for padding takes one text at a time; and so do all on a CPU, where a product with a single
        # output is rounded by the place of a row in its batch.
        batch_tokens, widest = (1, 0) if pad is None or device.type == "cpu" else (BATCH_TOKENS[device.type], longest)
        for indices, batch, mask in padded(ids, pad or 0, batch_tokens, widest, stretches_of(model)):
            more = further.rows(indices, batch.shape[1], device)
            logits = model(input_ids=batch.to(device), attention_mask=mask.to(device), **more).logits[:, label].tolist()
            scores |= {pairs[i]: score for i, score in zip(indices, logits, strict=True)}
        outcomes: list[Outcome] = []
        for item in items:
            own = scores[question(item), item.prediction]
            best = max(scores[question(item), r] for r in item.references)
            metrics = {"reward": own, "reference_reward": best, "preference": preference(own, best)}
            outcomes.append(Scored(metrics, truncated=_truncated(item, fitted)))
        return outcomes

    return compare


Encoder = Callable[[str, str], dict[str, list[int]]]
"""Gives the ids of tokens of a question and its answer, and what else the tokenizer gives for each token."""


def pair_encoder(tokenizer: PreTrainedTokenizerBase) -> Encoder:
    """For models that read a pair of texts. Special tokens that the texts spell are text."""

    def encode(asked: str, answer: str) -> dict[str, list[int]]:
        pair = (asked, answer) if asked else (answer,)
        return dict(tokenizer(*pair, verbose=False, split_special_tokens=True))

    return encode


def conversation_encoder(tokenizer: PreTrainedTokenizerBase, name: str) -> Encoder:
    """For models that read a conversation. Control tokens that the texts spell are text.

    Raises:
        UserError: if the chat template loses the question or the answer.
    """

    def write(asked: str, answer: str) -> str:
        turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        return write_chat(tokenizer, ChatFormat(), turns)

    written = write("loragridquestion", "loragridanswer")
    if lost := [text for text in ("question", "answer") if f"loragrid{text}" not in written]:
        raise UserError(f"reward_models.{name}: the tokenizer's chat template loses the {' and the '.join(lost)}.")
    controls = control_tokens(tokenizer, written)

    def encode(asked: str, answer: str) -> dict[str, list[int]]:
        encoded: dict[str, list[int]] = dict(tokenizer(write(asked, answer), add_special_tokens=False, verbose=False))
        if not controls.spelled_in((asked, answer)):
            return encoded
        ids = ids_of_prompt(tokenizer, controls, write(controls.hide(asked), controls.hide(answer)))
        # What else there is of a conversation is the same for all of its tokens.
        return encoded if ids is None else {n: values[:1] * len(ids) for n, values in encoded.items()} | {"input_ids": ids}

    return encode


def _truncated(item: Item, fitted: Mapping[tuple[str, str], Fitted]) -> list[Text]:
    """The texts of an item that were cut for the model.

    Args:
        fitted: what the model reads of each pair of question and answer.
    """
    own, *others = [fitted[question(item), text].cut for text in (item.prediction, *item.references)]
    is_cut: dict[Text, bool] = {
        "prediction": "answer" in own,
        "reference": any("answer" in cut for cut in others),
        "question": any("question" in cut for cut in (own, *others)),
    }
    return [text for text, cut in is_cut.items() if cut]


def load_reward_model(folder: Path, label: int) -> Any:
    """A reward model in float32.

    Raises:
        UserError: if it lacks the output that is the score, or if its weights are not all in its files.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from loragrid.models.weights import REWARD_MODEL, load_weights

    model = load_weights(AutoModelForSequenceClassification, folder, REWARD_MODEL, dtype=torch.float32)
    if label >= model.config.num_labels:
        raise UserError(f"scorer reward: label {label} is asked for, but {folder.name} has {model.config.num_labels} (from 0).")
    return model.eval()


def padding(tokenizer: Any, model: Any) -> int | None:
    """The id that fills up batches.

    None if the tokenizer has no such token, or got it later than the model, which then has no embedding for it.
    """
    pad: int | None = tokenizer.pad_token_id
    return pad if pad is not None and pad < model.config.get_text_config().vocab_size else None


def preference(own: float, other: float) -> float:
    """The share of the first score in the softmax over both."""
    difference = own - other
    return 1 / (1 + math.exp(-difference)) if difference >= 0 else math.exp(difference) / (1 + math.exp(difference))
