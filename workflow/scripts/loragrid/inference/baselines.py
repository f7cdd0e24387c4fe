"""Trivial baselines: answers that need no model, against which every model has to stand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loragrid.data.answers import answer_fields, without_thoughts
from loragrid.data.decontamination import in_words, without_leaks
from loragrid.data.splitting import subset
from loragrid.errors import UserError
from loragrid.records import ACCOUNT, Example, Prediction, question
from loragrid.runtime.job import log
from loragrid.runtime.templates import fill_template
from loragrid.sections import StageSettings
from loragrid.text.thoughts import Spoken
from loragrid.text.words import sentences, trim

NEAREST_BLOCK = 128
"""Texts that are compared with all others at a time."""


class BaselineSettings(StageSettings):
    """The parameters of the rule `predict_baseline`."""

    rule: str | None
    """Template of the answers, for the baseline `rule`."""
    label_scorers: list[dict[str, Any]]
    """Settings of the scorer that reads the label in an output, for the baseline `majority`; empty for other baselines."""
    subset: int | None
    """How many test examples are answered; None: all."""


def predict_trivially(
    settings: BaselineSettings,
    axes: Mapping[str, Any],
    tests: Sequence[Example],
    train: Sequence[Example],
    label_of: Callable[[str], str],
) -> list[Prediction]:
    """The records of a baseline's answers to the evaluated test examples. It learns nothing from what the test set holds too.

    Args:
        axes: of the predictions; `run` is the name of the baseline.
        label_of: gives the label of an output, for the baseline `majority`.

    Raises:
        UserError: as `answer` does.
    """
    clean, left_out = without_leaks(train, tests)
    if told := in_words(left_out.values(), len(train)):
        log.info("training examples: %s", told)
    if left_out and not clean:
        raise UserError(f"baseline '{axes['run']}': no training example is left to learn from: {told}.")
    evaluated = subset(tests, settings.subset)
    answers = answer(axes["run"], evaluated, clean, settings.rule, label_of)
    return [baseline_prediction(axes, example, texts) for example, texts in zip(evaluated, answers, strict=True)]


def answer(
    name: str, tests: Sequence[Example], train: Sequence[Example], rule: str | None, label_of: Callable[[str], str]
) -> list[list[str]]:
    """The answers of a baseline to each test example, one for each of its prompts.

    Args:
        name: as in `tasks.*.baselines` of the configuration.
        rule: template over a test example's `instruction`, `input` and `metadata`.
        label_of: gives the label of an output, for `majority`.

    Raises:
        UserError: if there are no training examples to learn from, or the rule does not fit an example.
    """
    shown = [part for example in train for part in example.parts]
    if name in ("majority", "nearest") and not shown:
        raise UserError(f"baseline '{name}': there are no training examples; leave it out in the task's 'baselines'.")
    match name:
        case "empty":
            return answer_each(tests, lambda part: "")
        case "copy":
            return answer_each(tests, _asked_last)
        case "first_sentence":
            return answer_each(tests, lambda part: next(iter(sentences(_asked_last(part))), ""))
        case "rule":
            return answer_each(tests, lambda part: _by_rule(rule or "", part))
        case "majority":
            frequent = most_frequent([without_thoughts(part.references[0]) for part in shown], label_of)
            return answer_each(tests, lambda part: frequent)
        case "nearest":
            parts = [part for example in tests for part in example.parts]
            found = iter(nearest([question(part) for part in parts], [question(part) for part in shown]))
            return answer_each(tests, lambda part: shown[next(found)].references[0])
    raise UserError(f"there is no baseline '{name}'.")


def _asked_last(part: Example) -> str:
    """The input; the last turn of a conversation."""
    return part.messages[-1].content if part.messages else part.input


def answer_each(tests: Sequence[Example], answer_one: Callable[[Example], str]) -> list[list[str]]:
    """One answer for each prompt of each example."""
    return [[answer_one(part) for part in example.parts] for example in tests]


def _by_rule(rule: str, part: Example) -> str:
    fields = {"instruction": part.instruction, "input": part.input, "metadata": part.metadata}
    try:
        return trim(fill_template(rule, fields))
    except UserError as error:
        raise UserError(f"the task's 'rule' fails on example {part.id}: {error}") from None


def most_frequent(outputs: Sequence[str], label_of: Callable[[str], str]) -> str:
    """The most frequent output with the most frequent label; the first of several. "No label" does not count as a label."""
    labels = [label_of(output) for output in outputs]
    [(label, _)] = Counter(filter(None, labels) if any(labels) else labels).most_common(1)
    [(output, _)] = Counter(o for o, of_output in zip(outputs, labels, strict=True) if of_output == label).most_common(1)
    return output


def nearest(texts: Sequence[str], among: Sequence[str]) -> list[int]:
    """For each text, the index of the nearest among other texts.

    Nearness is the cosine similarity of their words, weighted by TF-IDF (Salton & Buckley 1988).

    Args:
        among: the other texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Words of a single character count too.
    vectorizer = TfidfVectorizer(token_pattern=r"\w+")
    try:
        known = vectorizer.fit_transform(among)
    except ValueError:
        # There is not a single word.
        return [0] * len(texts)
    asked = vectorizer.transform(texts)
    # All similarities at once would be nearly one number for each pair of texts.
    blocks = (asked[i : i + NEAREST_BLOCK] @ known.T for i in range(0, len(texts), NEAREST_BLOCK))
    return [int(row.argmax()) for block in blocks for row in block]


def baseline_prediction(axes: Mapping[str, Any], example: Example, answers: Sequence[str]) -> Prediction:
    """The record of a baseline's answers to an example."""
    prompts = [question(part) for part in example.parts]
    # What a baseline takes from training examples may have thoughts.
    fields = answer_fields(example, [Spoken("", answer) for answer in answers]) | {
        "prompt": prompts[0] if example.answers == "one" else prompts
    }
    unknown = dict.fromkeys(ACCOUNT)
    of_example = {"id": example.id, "answers": example.answers}
    return Prediction(engine="baseline", engine_version="", **of_example, **axes, **fields, **unknown)
