"""The questions to a judge about an answer, and the outcome of its judgements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loragrid.errors import UserError
from loragrid.runtime.files import fingerprint
from loragrid.runtime.templates import fill_template
from loragrid.scoring.judge_ledger import Judgement
from loragrid.scoring.judge_replies import (
    UnreadableError,
    form_in_words,
    read_scores,
    read_verdict,
    without_thoughts,
)
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored
from loragrid.scoring.rubrics import FOLDER, Against, Rubric, derive

Message = dict[str, str]


QuestionKey = tuple[str, int, int]
"""Example, sample and part."""


def question_key(item: Item) -> QuestionKey:
    """The question that an answer belongs to, whoever gave the answer."""
    return item.id, item.sample, item.part


def conversations_about(
    rubric: Rubric, rubric_name: str, against: Against, item: Item, base: Mapping[QuestionKey, str] | None
) -> list[list[Message]] | Outcome:
    """The conversations that decide on an answer, or the outcome where there is nothing to ask.

    Args:
        base: the base model's answers. Without them, comparisons with the base model say nothing.
    """
    row = {"instruction": item.instruction, "input": item.input, "metadata": item.metadata}
    if not rubric.pairwise:
        texts = {"reference": "\n".join(item.references), "references": list(item.references), "prediction": item.prediction}
        return [conversation(rubric, rubric_name, row | texts)]
    if against == "reference":
        other: str | None = item.references[0]
    elif base is None:
        return None
    else:
        other = base.get(question_key(item))
    if other is None:
        return Failed("the base model has no answer to compare with")
    if other == item.prediction:
        return Scored({"win": 0.5}, "the same text")
    orders = ((item.prediction, other), (other, item.prediction))
    return [conversation(rubric, rubric_name, row | {"first": first, "second": second}) for first, second in orders]


def conversation(rubric: Rubric, rubric_name: str, row: Mapping[str, Any]) -> list[Message]:
    """The messages of a request."""
    # To contain the mark, a text would have to contain the hash of itself.
    mark = fingerprint(row)[:12]
    try:
        prompt = fill_template(rubric.prompt, {**row, "mark": mark})
    except UserError as error:
        raise UserError(f"{FOLDER / rubric_name}.yaml: prompt: {error}") from None
    system = [{"role": "system", "content": rubric.system}] if rubric.system else []
    return [*system, {"role": "user", "content": f"{prompt.rstrip()}\n\n{form_in_words(rubric)}"}]


def key_of(messages: Sequence[Message]) -> str:
    """A hash of the messages. The store's name depends on all else that decides on the answer."""
    return fingerprint(messages)[:32]


def asked_again(rubric: Rubric, messages: Sequence[Message], judgement: Judgement, problem: str) -> list[Message]:
    """The messages that ask a judge once more: it is shown its answer, and told why that cannot be read.

    A judge that is asked the same at temperature 0 would say the same.
    """
    advice = f"Your answer cannot be used: {problem}. {form_in_words(rubric)}"
    if said := without_thoughts(judgement.text):
        return [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": advice}]
    # Servers refuse empty messages.
    *earlier, last = messages
    return [*earlier, last | {"content": f"{last['content']}\n\n{advice}"}]


def problem_of(rubric: Rubric, judgement: Judgement) -> str | None:
    """Why a judge's answer cannot be read; None if it can."""
    try:
        _read(rubric, judgement)
    except UnreadableError as error:
        return str(error)
    return None


def outcome_of(rubric: Rubric, judgements: Sequence[Judgement]) -> Scored | Failed:
    """The metrics in a judge's answer; for a pairwise rubric, in its answers to both orders."""
    detail = "\n\n".join(judgement.text for judgement in judgements)
    try:
        read = [_read(rubric, judgement) for judgement in judgements]
    except UnreadableError as error:
        return Failed(str(error), detail)
    if rubric.pairwise:
        win = {("first", "second"): 1.0, ("second", "first"): 0.0}
        return Scored({"win": win.get((read[0], read[1]), 0.5)}, detail)
    [scores] = read
    derived = {key: derive(expression, scores) for key, expression in rubric.derived.items()}
    return Scored(scores | derived, detail)


def _read(rubric: Rubric, judgement: Judgement) -> Any:
    """The scores in a judge's answer, or its verdict."""
    if judgement.refused:
        raise UnreadableError("the judge refuses")
    if rubric.pairwise:
        return read_verdict(judgement.text)
    return read_scores(judgement.text, rubric.scores, judgement.cut_off)
