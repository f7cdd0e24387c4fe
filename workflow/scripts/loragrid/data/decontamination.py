"""Training data that a test set holds too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loragrid.records import Example

SHORTEST_TELLING_OUTPUT = 5
"""Outputs of fewer words, such as labels and names, are often the same, and tell nothing about a leak."""


def normalise(text: str) -> str:
    """Text in one case, with single spaces."""
    return " ".join(text.casefold().split())


def telling_texts(example: Example) -> set[str]:
    """The normalised texts that identify an example: its input (or, without input, its instruction) and longer outputs."""
    outputs = {normalise(output) for part in example.parts for output in part.references}
    questions = {normalise(part.input or part.instruction) for part in example.parts}
    return questions | {o for o in outputs if len(o.split()) >= SHORTEST_TELLING_OUTPUT}


def find_leaks(examples: Iterable[Example], tests: Mapping[str, Iterable[Example]]) -> dict[str, list[str]]:
    """The examples that share an identifying text with a test example.

    Args:
        tests: test sets by name.

    Returns:
        By the id of a leaked example, the names of the test sets that hold it.
    """
    where: dict[str, list[str]] = {}
    for name, test_set in tests.items():
        for text in {text for example in test_set for text in telling_texts(example)}:
            where.setdefault(text, []).append(name)
    leaks = {e.id: sorted({name for text in telling_texts(e) for name in where.get(text, ())}) for e in examples}
    return {id_: names for id_, names in leaks.items() if names}
