"""What an example asks: how questions are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable

from loragrid.data.conversations import answered_earlier, transcript
from loragrid.records import Example, question
from loragrid.text.words import one_form, words

SHORTEST_TELLING_TEXT = 5
"""Outputs of fewer words, such as labels and names, are often the same, and tell nothing about a leak. So are some inputs."""


CANNED = 3
"""An output that so many different questions of the test sets have is a canned answer. A short input that so many questions of a
test set have says nothing either."""


def normalise(text: str) -> str:
    """Text in one form and one case, with single spaces: as questions and outputs are compared."""
    return " ".join(one_form(text).casefold().split())


def asked(example: Example) -> str:
    """What an example asks about, normalised: its input and its prompts, or, without them, its instruction.

    The instruction is often the same in a whole data set, or worded in several ways. So it says little about what is asked.
    """
    return normalise("\n".join([example.input, *example.prompts])) or normalise(example.instruction)


def questions_of(example: Example) -> set[tuple[str, str]]:
    """The normalised questions of an example, one for each of its prompts: without and with the instruction."""
    return {(asked(part), normalise(question(part))) for part in example.parts if asked(part)}


def earlier_questions_of(example: Example) -> set[tuple[str, str]]:
    """As `questions_of`, for what stands before the earlier answers in a conversation."""
    asked_before = map(transcript, answered_earlier(example.messages))
    return {(normalise(text), normalise("\n".join([example.instruction, text]))) for text in asked_before if text}


def says_little(examples: Iterable[Example]) -> set[str]:
    """The short inputs that several questions share, such as "none". Only with their instruction do they ask for something."""
    wholes: dict[str, set[str]] = {}
    for text, whole in (pair for example in examples for pair in questions_of(example)):
        wholes.setdefault(text, set()).add(whole)
    return {text for text, of_text in wholes.items() if len(of_text) >= CANNED and len(words(text)) < SHORTEST_TELLING_TEXT}
