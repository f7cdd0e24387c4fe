"""Functions shared by scorers that let a model read texts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from loragrid.scoring.protocol import Item, Text

BATCH_TOKENS = {"cpu": 128, "cuda": 8192, "mps": 2048}
"""Tokens that a model reads at once, padding included, by the type of its device.

A batch is always filled up, so that large ones would waste time on few texts. On a CPU, small ones cost little more.
"""


def texts_of(items: Sequence[Item]) -> list[str]:
    """All predictions and references, each once."""
    return list(dict.fromkeys(text for item in items for text in (item.prediction, *item.references)))


def longest_input(tokenizer: Any, config: Any) -> int:
    """The most tokens that a model can read at once."""
    of_positions = getattr(config, "max_position_embeddings", None)
    limits = [limit for limit in (tokenizer.model_max_length, of_positions) if limit is not None and 0 < limit < 10**6]
    # In RoBERTa and similar models, positions begin behind the position of the padding.
    offset = (config.pad_token_id or 0) + 1 if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert") else 0
    return min(limits, default=512) - (offset if limits and min(limits) == of_positions else 0)


def too_long(tokenizer: Any, texts: Iterable[str], longest: int, added: int = 0) -> set[str]:
    """The texts with more tokens than a model can read at once.

    Args:
        longest: as `longest_input` gives it.
        added: tokens that the tokenizer itself does not add.
    """
    # A token has at least one byte. Few more are added.
    candidates = [text for text in texts if len(text.encode()) + 16 > longest]
    ids = tokenizer(candidates, truncation=False, verbose=False).input_ids if candidates else []
    return {text for text, of_text in zip(candidates, ids, strict=True) if len(of_text) + added > longest}


def truncated_of(item: Item, long: Collection[str]) -> tuple[Text, ...]:
    """Which texts of an item are among those that are too long."""
    is_long: dict[Text, bool] = {"prediction": item.prediction in long, "reference": any(r in long for r in item.references)}
    return tuple(text for text, too_long in is_long.items() if too_long)


class Fitted(NamedTuple):
    """A question and an answer that fit a model's input together."""

    question: str
    answer: str
    cut: tuple[str, ...] = ()
    """Which of both was cut."""


LEAST_QUESTION = 0.25
"""Share of a model's input that a question keeps where the answer by itself would need it all."""


def fit(tokenizer: Any, nb_tokens: Callable[[str, str], int], question: str, answer: str, longest: int) -> Fitted:
    """A question and an answer, cut as far as a model can read them together.

    The question's beginning goes first. Only where the answer would leave no room for a question at all, its end goes too.

    Args:
        nb_tokens: the number of tokens of a question and an answer together, with all that stands around them.
        longest: as `longest_input` gives it.
    """
    fitted, excess = Fitted(question, answer), nb_tokens(question, answer) - longest
    # Tokens may join differently where a text was cut.
    while excess > 0 and (fitted.question or fitted.answer):
        of_question, of_answer = (_ends(tokenizer, text) for text in fitted[:2])
        spare = max(0, len(of_question) - int(LEAST_QUESTION * longest))
        from_question = min(excess, spare if spare or of_answer else len(of_question))
        from_answer = min(excess - from_question, len(of_answer))
        if not from_question and not from_answer:
            break
        if from_question:
            fitted = fitted._replace(question=fitted.question[of_question[from_question - 1] :])
        if from_answer:
            fitted = fitted._replace(answer=fitted.answer[: ([0, *of_answer])[-1 - from_answer]])
        excess = nb_tokens(*fitted[:2]) - longest
    cut = (("question",) if fitted.question != question else ()) + (("answer",) if fitted.answer != answer else ())
    return fitted._replace(cut=cut)


def _ends(tokenizer: Any, text: str) -> list[int]:
    """Where the tokens of a text end."""
    if not tokenizer.is_fast:
        # Characters stand for tokens: too much may be cut, but never too little.
        return list(range(1, len(text) + 1))
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False).offset_mapping
    return [end for _, end in offsets]
