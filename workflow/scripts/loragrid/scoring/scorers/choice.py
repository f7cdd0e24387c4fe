"""The scorer `choice`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from loragrid.data.choices import choices_of
from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.templates import fill_template, syntax_error
from loragrid.scoring.likelihoods import likelihoods_of
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import CriteriaOf, GivenTexts, Named, NonEmpty, ScorerInputs, ScorerSettings
from loragrid.text.words import shortened

BINS = 10
"""Bins of equal width by which confidence is compared with accuracy."""


class ChoiceScorer(ScorerSettings):
    """Multiple choice: the model decides for the choice that it finds likeliest as the answer, whatever it wrote itself.

    `accuracy` by the log-likelihoods; `accuracy_norm` and `accuracy_bytes` by those divided by the choice's characters and bytes;
    `brier`: squared error of the probabilities, 0 to 2; over all examples: `ece`, the expected calibration error.
    """

    type: Literal["choice"] = Field(description="Chooses this scorer.")
    choices: list[NonEmpty] = Field(
        min_length=2,
        description="The choices: templates over the example's `instruction`, `input` and `metadata`, or just texts. A template "
        "that gives no words for an example gives no choice. White space at both ends is part of what is measured, not of a "
        "choice's length.",
    )
    gold: str | None = Field(
        None,
        description="Template of the right choice, over the same: its text, or its number in the list, from 0. By default the "
        "example's reference is the text of the right choice.",
    )
    gold_is: Literal["text", "number"] | None = Field(
        None, description="What `gold` gives. It must be said where choices are numbers themselves, and both could be meant."
    )

    example_metrics = ("accuracy", "accuracy_norm", "accuracy_bytes", "brier")
    corpus_metrics = ("ece",)
    right_or_wrong = ("accuracy", "accuracy_norm", "accuracy_bytes")
    low_is_good = ("brier", "ece")
    reads_examples = True

    @property
    def given_texts(self) -> GivenTexts:
        return GivenTexts(choices=tuple(self.choices))

    def problems(self, config: Named) -> Iterator[str]:
        templates = {f"choices[{i}]": template for i, template in enumerate(self.choices)}
        for key, template in (templates | ({"gold": self.gold} if self.gold is not None else {})).items():
            if problem := syntax_error(template):
                yield f"{key}: not a valid template: {problem}"

    def limits_of_metrics(self, criteria: CriteriaOf) -> Mapping[str, tuple[float, float]]:
        return dict.fromkeys((*self.right_or_wrong, "ece"), (0.0, 1.0)) | {"brier": (0.0, 2.0)}

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        def score(items: Sequence[Item]) -> list[Outcome]:
            outcomes = [self._score_one(inputs, item) for item in items]
            failed = [(item, one) for item, one in zip(items, outcomes, strict=True) if isinstance(one, Failed)]
            if failed and len(failed) == len(items):
                item, first = failed[0]
                raise UserError(f"scorers.{inputs.name}: example {item.id}: {first.reason}; all examples are like this.")
            if failed:
                log.info("%d of %d examples have no right choice: %s", len(failed), len(items), failed[0][1].reason)
            return outcomes

        return score

    def _score_one(self, inputs: ScorerInputs, item: Item) -> Outcome:
        listed = choices_of(self.choices, item.instruction, item.input, item.metadata)
        choices = [text for text in listed if text]
        if len(choices) < 2 or len(set(map(str.strip, choices))) < len(choices):
            return Failed(f"expected choices that differ, found {_quoted(choices)}")
        gold = self._gold(inputs.name, item)
        found = self._right(inputs.name, item, listed, gold)
        right = {choices.index(text) for text in found if text in choices}
        if not right:
            wanted = item.references if gold is None else [gold]
            return Failed(f"{_quoted(wanted)} is none of the choices {_quoted(choices)}")
        measured = likelihoods_of(inputs, item)
        if missing := [text for text in choices if text not in measured]:
            return Failed(f"the likelihood of {_quoted(missing)} was not measured")
        if bare := [text for text in choices if not measured[text].logprobs]:
            # Nothing is always likelier than something.
            return Failed(f"{_quoted(bare)} has no tokens")
        return choose(choices, [sum(measured[text].logprobs) for text in choices], right)

    def _right(self, name: str, item: Item, listed: Sequence[str], gold: str | None) -> list[str]:
        """The right choices, with the white space around them.

        Args:
            name: of the scorer, for messages.
            listed: the choices of all templates.
            gold: what the template of the right choice gives; None: the references are right.
        """
        if gold is None:
            wanted = {one.strip() for one in item.references}
            return [text for text in listed if text.strip() in wanted]
        by_text = [text for text in listed if text.strip() == gold and self.gold_is != "number"]
        by_number = [text for i, text in enumerate(listed) if str(i) == gold and self.gold_is != "text"]
        if by_text and by_number and by_text != by_number:
            said = f"'{gold}' is a choice, and the number of another one; say gold_is: text, or gold_is: number."
            raise UserError(f"scorers.{name}.gold: example {item.id}: {said}")
        return by_text or by_number

    def _gold(self, name: str, item: Item) -> str | None:
        if self.gold is None:
            return None
        fields = {"instruction": item.instruction, "input": item.input, "metadata": item.metadata}
        try:
            return fill_template(self.gold, fields).strip()
        except UserError as error:
            raise UserError(f"scorers.{name}.gold: example {item.id}: {error}") from None

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """The expected calibration error (Guo et al. 2017, arXiv:1706.04599): how far confidence is from accuracy, 0 to 1.

        It is the mean over bins of equal width, weighted by their examples.
        """
        if not sums:
            return {"ece": math.nan}
        bins = {key.partition("/")[2] for key in sums}
        total = sum(sums.get(f"number/{of}", 0.0) for of in bins)
        gaps = (abs(sums.get(f"confidence/{of}", 0.0) - sums.get(f"right/{of}", 0.0)) for of in bins)
        return {"ece": sum(gaps) / total if total else math.nan}


def choose(choices: Sequence[str], log_likelihoods: Sequence[float], right: set[int]) -> Scored:
    """What a model decides, given how likely it finds each choice. Of equally likely ones, it takes the first.

    Probabilities are the softmax of the log-likelihoods. If several choices are right, the likeliest of them counts as the right
    one.

    Args:
        log_likelihoods: sums over the tokens of each choice.
        right: indices of the right choices.
    """
    order = range(len(choices))
    texts = [text.strip() for text in choices]
    by_characters = [value / len(text) for value, text in zip(log_likelihoods, texts, strict=True)]
    by_bytes = [value / len(text.encode()) for value, text in zip(log_likelihoods, texts, strict=True)]
    chosen = max(order, key=lambda i: log_likelihoods[i])
    weights = [math.exp(value - log_likelihoods[chosen]) for value in log_likelihoods]
    probabilities = [weight / sum(weights) for weight in weights]
    gold = max(sorted(right), key=lambda i: log_likelihoods[i])
    metrics = {
        "accuracy": float(chosen in right),
        "accuracy_norm": float(max(order, key=lambda i: by_characters[i]) in right),
        "accuracy_bytes": float(max(order, key=lambda i: by_bytes[i]) in right),
        "brier": sum((probability - (i == gold)) ** 2 for i, probability in enumerate(probabilities)),
    }
    confidence = probabilities[chosen]
    of_bin = min(int(confidence * BINS), BINS - 1)
    parts = {f"number/{of_bin}": 1.0, f"confidence/{of_bin}": confidence, f"right/{of_bin}": metrics["accuracy"]}
    return Scored(metrics, texts[chosen], parts)


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(f"'{shortened(text.strip())}'" for text in texts) or "none"
