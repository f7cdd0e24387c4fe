"""The scorer `spans`: typed spans, such as named entities."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from loragrid.scoring.counts import precision_recall_f1
from loragrid.scoring.protocol import Item, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.json_values import json_values
from loragrid.text.words import normalise_space, one_form, shortened

Format = Literal["lines", "json", "bio"]


class SpansScorer(ScorerSettings):
    """Precision, recall and F1 over typed spans, such as named entities: for each example, and over all examples (`micro_…`).

    A text lists its spans as `TYPE: text`, one per line or separated by `;` or `|`; or as JSON, a list of objects with `type`
    and `text`.
    """

    type: Literal["spans"] = Field(description="Chooses this scorer.")
    format: Format = Field(
        "lines", description="How spans are written: `lines`, `json`, or one BIO tag for each word of the input (`bio`)."
    )
    case: bool = Field(False, description="Heed the case of the spans' texts.")

    edition = 1
    example_metrics = ("precision", "recall", "f1")
    limits = (0.0, 1.0)
    corpus_metrics = ("micro_precision", "micro_recall", "micro_f1")
    reads_examples = True
    # "None" may say that there are none.
    needs_all_references = False
    reference_advice = "set its 'format'"

    def reference_check(self) -> Callable[[Sequence[str]], str | None] | None:
        if self.format == "bio":
            return None
        read: Callable[[str], Iterator[tuple[str, str]]] = spans_of_lines if self.format == "lines" else spans_of_json
        form = "'TYPE: text', one a line" if self.format == "lines" else "a JSON list of objects with 'type' and 'text'"

        def check(references: Sequence[str]) -> str | None:
            if any(not reference.strip() or reference.strip() == "[]" or any(read(reference)) for reference in references):
                return None
            return f"the reference '{shortened(references[0] if references else '')}' has no spans; expected {form}."

        return check

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return spans(self.format, self.case)

    @classmethod
    def over_all(cls, sums: Mapping[str, float]) -> dict[str, float]:
        """Precision, recall and F1, 0 to 1, over the spans of all examples; all three are 1 if there are no spans at all."""
        if not sums:
            return dict.fromkeys(cls.corpus_metrics, math.nan)
        return {f"micro_{name}": value for name, value in precision_recall_f1(sums["tp"], sums["fp"], sums["fn"]).items()}


def spans(format: Format, case: bool) -> ScorerFunction:
    """Precision, recall and F1, 0 to 1, of an answer's spans; all three are 1 if neither answer nor reference has spans.

    Two spans are the same if type and text are the same; in `bio`, if type and place are. If there are several references, the
    one with the best F1 counts.
    """
    if format == "bio":
        return lambda items: [_best(item, *_tagged(item)) for item in items]
    read: Callable[[str], Iterator[tuple[str, str]]] = spans_of_lines if format == "lines" else spans_of_json

    def bag(text: str) -> Counter[Hashable]:
        return Counter((_plain(type_), _plain(span, case)) for type_, span in read(text) if type_.strip() and span.strip())

    return lambda items: [_best(item, bag(item.prediction), [bag(r) for r in item.references]) for item in items]


def _best(item: Item, given: Counter[Hashable], references: Sequence[Counter[Hashable]], detail: str | None = None) -> Scored:
    counts = []
    for wanted in references:
        tp = (given & wanted).total()
        counts.append({"tp": tp, "fp": given.total() - tp, "fn": wanted.total() - tp})
    parts = max(counts, key=lambda of_reference: precision_recall_f1(**of_reference)["f1"])
    return Scored(precision_recall_f1(**parts), detail, parts)


def _plain(text: str, case: bool = False) -> str:
    return normalise_space(one_form(text if case else text.casefold()))


def spans_of_lines(text: str) -> Iterator[tuple[str, str]]:
    """Type and text of each `TYPE: text`, one per line or separated by `;` or `|`. Parts without `:` are skipped, and so are list
    markers and emphasis.
    """
    for entry in re.split(r"[\n;|]", text):
        type_, colon, span = entry.partition(":")
        if colon:
            yield re.sub(r"^\s*(?:\d{1,3}[.)]|[-•])?", "", type_).strip(" \t*_`\"'"), span.strip(" \t*_`\"'")


def spans_of_json(text: str) -> Iterator[tuple[str, str]]:
    """Type and text of each object in the first JSON list of a text that holds objects or nothing. A list that was cut off counts
    as far as it goes.
    """
    lists = (values for values in json_values(text, "[") if not values or any(isinstance(value, dict) for value in values))
    whole = next(lists, None)
    for value in json_values(text, "{") if whole is None else whole:
        if isinstance(value, dict) and all(isinstance(value.get(key), str | int | float) for key in ("type", "text")):
            yield str(value["type"]), str(value["text"])


def _tagged(item: Item) -> tuple[Counter[Hashable], list[Counter[Hashable]], str | None]:
    """The spans of prediction and references by their places, and what is wrong with the numbers of tags."""
    words = len(item.input.split())
    references = [tags_of(reference, words) for reference in item.references]
    # If references disagree with the input, the references are right: the input may hold more than the words.
    expected = max(words, *map(len, references))
    given = tags_of(item.prediction, expected)
    problems = [f"the reference has {len(tags)} tags for {words} words" for tags in references if words and len(tags) != words]
    problems += [f"{len(given)} tags for {expected} words"] if len(given) != expected else []
    bags = [Counter[Hashable](spans_of_tags(tags[:expected])) for tags in (given, *references)]
    return bags[0], bags[1:], "; ".join(problems) or None


def tags_of(text: str, expected: int) -> list[str]:
    """The BIO tags in a text, without commas, quotes and brackets around them.

    Args:
        expected: the number of tags that there should be. If the text has as many words, each word stands for a tag, and a word
            that is no tag stands for `O`; else only tags count.
    """
    tokens = [bare for token in text.split() if (bare := token.strip("[](),;\"'`"))]
    is_tag = [re.fullmatch(r"[OBI]|[BI]-.+", token, re.IGNORECASE) is not None for token in tokens]
    if len(tokens) == expected:
        return [token if tag else "O" for token, tag in zip(tokens, is_tag, strict=True)]
    return [token for token, tag in zip(tokens, is_tag, strict=True) if tag]


def spans_of_tags(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Type, first and last place of each span, as CoNLL's evaluation reads them: an `I-` begins a span if there is no span of its
    type to continue.
    """
    start, current = 0, ""
    for i, tag in enumerate((*tags, "O")):
        prefix, _, type_ = tag.partition("-")
        inside = "" if prefix.upper() == "O" else _plain(type_) or "_"
        if current and (inside != current or prefix.upper() == "B"):
            yield current, start, i - 1
        if inside and (inside != current or prefix.upper() == "B"):
            start = i
        current = inside
