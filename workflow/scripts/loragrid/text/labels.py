"""Labels and verdicts in texts."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from loragrid.text.words import UNSPACED, WORD_CHARACTER, compiled, fold

Labels = Mapping[str, Sequence[str]] | Sequence[str]


AROUND = string.punctuation + string.whitespace + "“”‘’„«»。、！？…"
"""What may stand around a label that is the whole answer."""


def label_reader(labels: Labels, read: Literal["first", "whole"]) -> Callable[[str], str | None]:
    """A function that gives the label of a text, or None where it has none.

    Args:
        labels: a list, or the synonyms of each label. Case is ignored.
        read: `first` takes the label or synonym that comes first as a whole word; if several begin at one place, the longest.
            With `whole` the text must be a label or synonym; white space and punctuation around it are ignored.
    """
    label_of = mentions_of(labels)
    pattern = compiled("|".join(_as_whole_word(mention) for mention in sorted(label_of, key=len, reverse=True)))

    def whole(text: str) -> str | None:
        text = _plain(text)
        return label_of.get(text) or label_of.get(text.strip(AROUND))

    def first(text: str) -> str | None:
        match = pattern.search(_plain(text))
        return label_of[match[0]] if match else None

    return whole if read == "whole" else first


def mentions_of(labels: Labels) -> dict[str, str]:
    """Labels and synonyms as they are compared with texts, with the label that each stands for.

    Raises:
        ValueError: where one is empty or stands for two labels.
    """
    given = labels if isinstance(labels, Mapping) else dict.fromkeys(labels, ())
    label_of: dict[str, str] = {}
    for name, synonyms in given.items():
        for text in (name, *synonyms):
            mention = _plain(text)
            if not mention:
                raise ValueError(f"'{text}' of the label '{name}' is empty")
            if label_of.setdefault(mention, name) != name:
                raise ValueError(f"'{text}' stands for two labels, '{label_of[mention]}' and '{name}'")
    return label_of


def _plain(text: str) -> str:
    return " ".join(fold(text).split())


def _as_whole_word(mention: str) -> str:
    """A pattern for a mention as a whole word. Hyphens and apostrophes between letters, and points in numbers, end no word."""
    before = rf"(?<!{WORD_CHARACTER}[-‐'’_]?)" + (r"(?<!\d[.,])" if mention[0].isdecimal() else "")
    after = rf"(?![-‐'’_]?{WORD_CHARACTER})" + (r"(?![.,]\d)" if mention[-1].isdecimal() else "")
    unspaced = compiled(UNSPACED)
    return ("" if unspaced.match(mention[0]) else before) + re.escape(mention) + ("" if unspaced.match(mention[-1]) else after)


def verdict(text: str, cut: bool) -> Literal["true", "false", "tie"]:
    """Which of `true` and `false` occurs more often in the lower-cased text, also within words."""
    text = (text.partition(".")[0] if cut else text).lower()
    true, false = text.count("true"), text.count("false")
    return "tie" if true == false else "true" if true > false else "false"
