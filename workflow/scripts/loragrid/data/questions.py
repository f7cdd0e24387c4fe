"""What an example asks: how questions are compared with each other."""

from __future__ import annotations

from loragrid.records import Example
from loragrid.text.words import one_form


def normalise(text: str) -> str:
    """Text in one form and one case, with single spaces: as questions and outputs are compared."""
    return " ".join(one_form(text).casefold().split())


def asked(example: Example) -> str:
    """What an example asks about, normalised: its input and its prompts, or, without them, its instruction.

    The instruction is often the same in a whole data set, or worded in several ways. So it says little about what is asked.
    """
    return normalise("\n".join([example.input, *example.prompts])) or normalise(example.instruction)
