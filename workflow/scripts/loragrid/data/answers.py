"""From the texts of models to the fields of predictions: answers, what was thought before them, and references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from loragrid.records import Example, Prediction
from loragrid.text.thoughts import MARKS, Marks, Spoken, tell_apart


def without_thoughts(output: str, marks: Marks = MARKS) -> str:
    """What an output answers; the whole output if it is nothing but thoughts."""
    return tell_apart(output, marks).answer or output


def answer_fields(
    example: Example, texts: Sequence[Spoken], marks: Marks = MARKS, opened: Sequence[str | None] = ()
) -> dict[str, Any]:
    """The fields `prediction`, `thoughts` and `reference` of a prediction.

    References lose their thoughts too, so that answers are compared with answers. If a reference is nothing but thoughts, they
    are what is asked for: texts and references then stay whole.

    Args:
        texts: one for each prompt of the example. What stands in the answer of a text may still hold thoughts.
        marks: of thoughts.
        opened: for each text, the closing mark of a thought that its prompt has opened.
    """
    outputs = [example.output] if isinstance(example.output, str) else example.output
    references = [without_thoughts(output, marks) for output in outputs]
    if any(output and not tell_apart(output, marks).answer for output in outputs):
        references, marks, opened = outputs, (), ()
    answers = [_told_apart(text, marks, mark) for text, mark in zip(texts, opened or [None] * len(texts), strict=True)]
    single = example.answers == "one"
    fields: dict[str, Any] = {
        "prediction": answers[0].answer if single else [text.answer for text in answers],
        "reference": references[0] if isinstance(example.output, str) else references,
    }
    if any(text.thoughts for text in answers):
        fields["thoughts"] = answers[0].thoughts if single else [text.thoughts for text in answers]
    return fields


def _told_apart(text: Spoken, marks: Marks, opened: str | None) -> Spoken:
    # A server that tells thoughts apart has closed them.
    found = tell_apart(text.answer, marks, None if text.thoughts else opened)
    return Spoken("\n\n".join(filter(None, [text.thoughts, found.thoughts])), found.answer)


def count_thoughts(predictions: Iterable[Prediction]) -> dict[str, Any]:
    """For a manifest: how many answers came with thoughts, and how many of these are empty; nothing if there were no thoughts."""
    thoughtful = [part for prediction in predictions for part in prediction.parts if part["thoughts"]]
    if not thoughtful:
        return {}
    return {"thoughts": {"answers": len(thoughtful), "empty": sum(not part["prediction"] for part in thoughtful)}}
