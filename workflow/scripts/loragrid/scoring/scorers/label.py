"""The scorer `label`."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loragrid.scoring.counts import f1
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import NonEmpty, ScorerInputs, ScorerSettings
from loragrid.text.labels import Labels, label_reader, mentions_of
from loragrid.text.words import shortened


class LabelScorer(ScorerSettings):
    """Accuracy of classification; an answer without a label is `undecided`, and wrong. Over all examples: `macro_f1`."""

    type: Literal["label"] = Field(description="Chooses this scorer.")
    labels: dict[NonEmpty, list[NonEmpty]] | list[NonEmpty] = Field(
        min_length=2,
        description="The labels: a list, or a mapping of each to the list of its synonyms. Case is ignored, and "
        "words may be joined by space, `_` or `-`.",
    )
    read: Literal["first", "whole"] = Field(
        "first",
        description="`first`: the label counts that is marked as the answer (`#### B`, `\\boxed{B}`, `The answer is B`, "
        "`**B**`), else the one that is mentioned first, as a whole word and not negated; `whole`: an answer must be a label.",
    )

    edition = 1
    example_metrics = ("accuracy", "undecided")
    limits = (0.0, 1.0)
    right_or_wrong = ("accuracy", "undecided")
    corpus_metrics = ("macro_f1",)
    low_is_good = ("undecided",)
    reads_labels = True
    reference_advice = "add the text to the labels, as a label or a synonym of one"

    @field_validator("labels", mode="before")
    @classmethod
    def _are_texts(cls, labels: Any) -> Any:
        synonyms = list(labels.values()) if isinstance(labels, Mapping) else []
        if not isinstance(labels, Mapping | list) or not all(isinstance(of_label, list) for of_label in synonyms):
            raise ValueError("expected a list of labels, or a mapping of each to the list of its synonyms")
        for text in chain(labels, chain.from_iterable(synonyms)):
            if isinstance(text, bool):
                raise ValueError("expected texts; in YAML true, false, yes and no are none unless they stand in quotes")
            if not isinstance(text, str | int | float):
                found = "nothing (null or ~)" if text is None else f"{type(text).__name__} {text}"
                raise ValueError(f"expected texts, found {found}; put it in quotes if it is text")
        return labels

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        mentions_of(self.labels)
        return self

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return label(self.labels, self.read)

    def reference_check(self) -> Callable[[Sequence[str]], str | None]:
        label_of = label_reader(self.labels, self.read)
        known = [text for name in self.labels for text in (name, *(self.labels[name] if isinstance(self.labels, dict) else ()))]

        def check(references: Sequence[str]) -> str | None:
            if any(label_of(reference) is not None for reference in references):
                return None
            [first, *_] = references or [""]
            [close, *_] = difflib.get_close_matches(first.strip().casefold(), [text.casefold() for text in known], n=1) or [""]
            hint = f"; is '{close}' meant?" if close else "."
            return f"the reference '{shortened(first)}' is none of the labels {', '.join(map(repr, self.labels))}{hint}"

        return check

    def label_reader(self) -> Callable[[str], str]:
        label_of = label_reader(self.labels, self.read)
        return lambda text: label_of(text) or ""

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """Mean of the labels' F1, 0 to 1, over the labels that a prediction or reference has."""
        counts: dict[str, dict[str, float]] = {}
        for key, value in sums.items():
            count, _, of_label = key.partition("/")
            counts.setdefault(of_label, {})[count] = value
        of_labels = [f1(c.get("tp", 0), c.get("fp", 0), c.get("fn", 0)) for c in counts.values() if any(c.values())]
        return {"macro_f1": sum(of_labels) / len(of_labels) if of_labels else math.nan}


def label(labels: Labels, read: Literal["first", "whole"]) -> ScorerFunction:
    """`accuracy`: 1 if prediction and reference have the same label. `undecided`: 1 if the prediction has no label.

    If there are several references, one with the same label is enough. How labels are read: `label_reader`.
    """
    label_of = label_reader(labels, read)

    def score_one(item: Item) -> Outcome:
        wanted = [own for reference in item.references if (own := label_of(reference)) is not None]
        if not wanted:
            return Failed(f"the reference has none of the labels: '{shortened(' '.join(item.references))}'")
        given = label_of(item.prediction)
        if given in wanted:
            return Scored({"accuracy": 1.0, "undecided": 0.0}, given, {f"tp/{given}": 1})
        mistaken = {} if given is None else {f"fp/{given}": 1}
        return Scored(
            {"accuracy": 0.0, "undecided": float(given is None)}, given or "undecided", {f"fn/{wanted[0]}": 1} | mistaken
        )

    return lambda items: [score_one(item) for item in items]
