"""What kind of work outputs show: labels, several labels, numbers or texts, with the scorers that fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from loragrid.runtime.spreadsheets import to_number
from loragrid.scoring.scorers.label import LabelScorer
from loragrid.scoring.scorers.number import NumberScorer
from loragrid.text.words import fold, normalise_space, some_of

MOST_LABELS, LONGEST_LABEL = 20, 5
"""Labels of a task, and words of a label."""

ROWS_PER_LABEL = 3
"""Rows that a label has on average, at least."""

SHORT = 5
"""Words up to which an answer is short."""

SEVERAL = 0.2
"""Share of the rows that have more than one label, at least, where rows have several."""

SEPARATORS = (";", "|", ",")


class Kind(NamedTuple):
    """A kind of work."""

    name: Literal["label", "labels", "number", "short text", "text"]
    why: str
    scorers: Mapping[str, Mapping[str, Any]]
    """Entries of `scorers` by name."""
    metric: str
    """The main metric, as `scorer/metric`."""
    labels: Sequence[str] = ()


def guess_kind(outputs: Sequence[Any]) -> Kind:
    """The kind of work by the outputs, of which none is blank."""
    if any(isinstance(value, list) for value in outputs):
        lists = [list(map(str, value)) if isinstance(value, list) else [str(value)] for value in outputs]
        return _several(lists) or _of_texts([" ".join(texts) for texts in lists])
    texts = [normalise_space(str(value)) for value in outputs]
    return _separated(texts) or _labels(texts) or _numbers(texts) or _of_texts(texts)


def _separated(texts: Sequence[str]) -> Kind | None:
    """Several labels in a text. They are no more than the different texts, which are combinations of them."""
    for separator in SEPARATORS:
        lists = [[part.strip() for part in text.split(separator) if part.strip()] for text in texts]
        several = _several(lists)
        # A comma may also stand within a label.
        if several is not None and len(several.labels) + (separator == ",") <= len(distinct(texts)):
            return several
    return None


def _labels(texts: Sequence[str]) -> Kind | None:
    labels = distinct(texts)
    if not 2 <= len(labels) <= min(MOST_LABELS, len(texts) / ROWS_PER_LABEL) or any(
        len(label.split()) > LONGEST_LABEL for label in labels
    ):
        return None
    entry = {"type": "label", "labels": labels}
    try:
        check = LabelScorer.model_validate(entry).reference_check()
    except ValidationError:
        # Labels that a reader cannot tell apart.
        return None
    if any(check([text]) for text in set(texts)):
        return None
    why = f"{len(labels)} short outputs in {len(texts)} rows: {some_of(labels)}"
    return Kind("label", why, {"label": entry}, "label/accuracy", labels)


def distinct(texts: Sequence[str]) -> list[str]:
    """The different texts, each in its usual spelling; the most frequent come first."""
    spelled = [text for text, _ in Counter(texts).most_common()]
    found: dict[str, str] = {}
    for text in spelled:
        found.setdefault(re.sub(r"(?<=\w)[\s_\-]+(?=\w)", " ", fold(text)).strip(), text)
    return list(found.values())


def _several(lists: Sequence[Sequence[str]]) -> Kind | None:
    parts = [part for one in lists for part in one]
    labels = distinct(parts)
    more = sum(len(one) > 1 for one in lists)
    if more < SEVERAL * len(lists) or not 2 <= len(labels) <= min(MOST_LABELS, len(parts) / ROWS_PER_LABEL):
        return None
    if any(len(label.split()) > LONGEST_LABEL for label in labels):
        return None
    why = f"{more} of {len(lists)} rows have several of {len(labels)} labels: {some_of(labels)}"
    entries = {"token_f1": {"type": "token_f1"}, "exact_match": {"type": "exact_match"}}
    return Kind("labels", why, entries, "token_f1/f1", labels)


def _numbers(texts: Sequence[str]) -> Kind | None:
    check = NumberScorer.model_validate({"type": "number"}).reference_check()
    if any(to_number(text.lstrip("$€£").rstrip("%€ ").replace(",", "")) is None or check([text]) for text in texts):
        return None
    return Kind("number", "all outputs are numbers", {"number": {"type": "number"}}, "number/number_match")


def _of_texts(texts: Sequence[str]) -> Kind:
    usual = median(len(text.split()) for text in texts)
    why = f"outputs of {usual:.0f} words (median)"
    if usual <= SHORT:
        entries = {"exact_match": {"type": "exact_match"}, "token_f1": {"type": "token_f1"}}
        return Kind("short text", why, entries, "exact_match/exact_match")
    return Kind("text", why, {"rouge": {"type": "rouge"}, "length": {"type": "length"}}, "rouge/rougeL")
