"""Training data that a test set holds too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from loragrid.data.questions import (
    CANNED,
    SHORTEST_TELLING_TEXT,
    asked,
    earlier_questions_of,
    normalise,
    questions_of,
    says_little,
)
from loragrid.layout import Dataset
from loragrid.records import Example
from loragrid.runtime.files import write_json
from loragrid.runtime.manifests import read_json
from loragrid.text.words import words

PASSAGE = 13
"""How many words in a row come from the same passage (Brown et al. 2020, arXiv:2005.14165)."""


LOOKED_INTO = 200
"""In how many examples of a test set, about, the words of its template are looked for."""


SAME_QUESTION, SAME_OUTPUT = "same question", "same output"
"""Why an example counts as a leak."""


LEAKY_PARTS = ("train", "validation")
"""The parts of a data set that must hold nothing of a test set."""


def validation_set(dataset: Dataset) -> str:
    """How a validation set by which ways are chosen is named among test sets."""
    return f"{dataset.name} (validation)"


class Leaks(NamedTuple):
    """The examples of a data set's part that test sets hold too: by id, the names of these test sets."""

    by_question: Mapping[str, Sequence[str]]
    by_output: Mapping[str, Sequence[str]]
    """Those of other questions with the same output."""

    def left_out(self, by_output: bool) -> dict[str, str]:
        """The ids of the examples to leave out, each with the reason.

        Args:
            by_output: leave out also those that share only an output with a test example.
        """
        of_output = dict.fromkeys(self.by_output, SAME_OUTPUT) if by_output else {}
        return of_output | dict.fromkeys(self.by_question, SAME_QUESTION)

    def names(self, by_output: bool) -> list[str]:
        """The names of the test sets that hold the examples to leave out."""
        held = [*self.by_question.values(), *(self.by_output.values() if by_output else ())]
        return sorted({name for names in held for name in names})


def questions_by_test(tests: Mapping[str, Iterable[Example]]) -> dict[str, set[str]]:
    """The names of the test sets that ask a question, by the question.

    Usually that is an input. A short input that several questions of a test set share stands together with each instruction.
    """
    names: dict[str, set[str]] = {}
    for name, examples in tests.items():
        test_set = list(examples)
        short = says_little(test_set)
        for text, whole in (pair for example in test_set for pair in questions_of(example)):
            names.setdefault(whole if text in short else text, set()).add(name)
    return names


def outputs_of(example: Example) -> set[str]:
    """The normalised outputs of an example, without what ends a sentence."""
    return _normalised(output for part in example.parts for output in part.references)


def earlier_outputs_of(example: Example) -> set[str]:
    """As `outputs_of`, for what a conversation has answered before its last question."""
    return _normalised(turn.content for turn in example.messages if turn.role == "assistant")


def _normalised(outputs: Iterable[str]) -> set[str]:
    return {normalise(output).rstrip(".!?\u3002\uff01\uff1f ") for output in outputs} - {""}


def passages(example: Example) -> set[tuple[str, ...]]:
    """Every sequence of words in the questions of an example that is long enough to come from the same passage."""
    texts = [words(part.input or part.instruction) for part in example.parts]
    return {tuple(text[i : i + PASSAGE]) for text in texts for i in range(len(text) - PASSAGE + 1)}


def boilerplate(test_set: Sequence[Example]) -> set[tuple[str, ...]]:
    """The passages of most examples of a test set, as a template puts them there. They are looked for in some examples only."""
    looked_into = test_set[:: -(-len(test_set) // LOOKED_INTO)] if len(test_set) >= LOOKED_INTO // 10 else []
    counts = Counter(passage for example in looked_into for passage in passages(example))
    return {passage for passage, count in counts.items() if 2 * count > len(looked_into)}


def find_leaks(examples: Iterable[Example], tests: Mapping[str, Iterable[Example]]) -> Leaks:
    """The examples that share a question, or a longer output, with a test example.

    A question that is worded in another way is the same if passage and output are: if `PASSAGE` words in a row are the same that
    are no template's, and an output that only few test examples have. A conversation also asks what it answers on its way.

    Args:
        tests: test sets by name.
    """
    by_id = {name: {example.id: example for example in test_set} for name, test_set in tests.items()}
    asking = questions_by_test({name: test_set.values() for name, test_set in by_id.items()})
    giving: dict[str, list[tuple[str, Example]]] = {}
    for name, test_set in by_id.items():
        for example in test_set.values():
            for text in outputs_of(example):
                giving.setdefault(text, []).append((name, example))
    rare = {text: given for text, given in giving.items() if len({asked(example) for _, example in given}) < CANNED}
    telling = {text for text in giving if len(words(text)) >= SHORTEST_TELLING_TEXT}
    names_of = {text: {name for name, _ in giving[text]} for text in telling}
    templates = {name: boilerplate([*test_set.values()]) for name, test_set in by_id.items()}
    passages_of_test = cache(lambda name, id_: passages(by_id[name][id_]) - templates[name])
    by_question: dict[str, list[str]] = {}
    by_output: dict[str, list[str]] = {}
    for example in examples:
        outputs = outputs_of(example) | earlier_outputs_of(example)
        questions = questions_of(example) | earlier_questions_of(example)
        names = {name for texts in questions for text in texts for name in asking.get(text, ())}
        alike = [(name, test.id) for text in outputs for name, test in rare.get(text, ())]
        own = passages(example) if alike else set()
        names |= {name for name, id_ in alike if own & passages_of_test(name, id_)}
        if names:
            by_question[example.id] = sorted(names)
        elif names := {name for text in outputs for name in names_of.get(text, ())}:
            by_output[example.id] = sorted(names)
    return Leaks(by_question, by_output)


def without_leaks(
    examples: Sequence[Example], tests: Iterable[Example], by_output: bool = False
) -> tuple[list[Example], dict[str, str]]:
    """Training examples without those that a test set holds too, and the ids of the others, each with the reason.

    Args:
        tests: the test set whose questions the examples are to help with.
        by_output: leave out also those that share only an output with a test example.
    """
    left_out = find_leaks(examples, {"": tests}).left_out(by_output)
    return [example for example in examples if example.id not in left_out], left_out


def in_words(reasons: Iterable[str], among: int) -> str:
    """How many examples are left out because a test set holds them, and why. Empty if there are none.

    Args:
        reasons: the reason for each of them.
        among: how many there were.
    """
    counts = Counter(reasons)
    why = ", ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))
    return f"{counts.total()} of {among} are left out because a test set holds them too ({why})" if counts else ""


def write_leaks(path: str | Path, leaks: Mapping[str, Leaks]) -> None:
    """Write the leaks of each part of a data set."""
    by_output = {part: of_part.by_output for part, of_part in leaks.items() if of_part.by_output}
    by_question = {part: of_part.by_question for part, of_part in leaks.items()}
    write_json(path, by_question | ({"by_output": by_output} if by_output else {}))


def read_leaks(path: str | Path) -> dict[str, Leaks]:
    """The leaks of each part of a data set."""
    found = read_json(path, LEAKY_PARTS)
    by_output = found.get("by_output", {})
    return {part: Leaks(found[part], by_output.get(part, {})) for part in LEAKY_PARTS}
