"""Words and sentences of texts in any script, and how texts are compared and shown."""

from __future__ import annotations

import re
import string
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import regex

UNSPACED = "[[" + "".join(rf"\p{{scx={s}}}" for s in ("Han", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr")) + r"]&&\p{L}]"
"""Class of the letters of scripts that are written without spaces between words, in the syntax of the package `regex`."""


WORD_CHARACTER = rf"[[\p{{L}}\p{{M}}\p{{N}}\u200c\u200d]--{UNSPACED}]"
"""Class of the characters of words that are written with spaces between them: letters, digits, marks and joiners."""


def fold(text: str) -> str:
    """Text with case and compatible characters made alike, such as full-width letters (Unicode's NFKC)."""
    return unicodedata.normalize("NFKC", text).casefold()


_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def one_form(text: str) -> str:
    """Text in Unicode's composed form (NFC), without soft hyphens and characters of no width: as texts are compared."""
    return unicodedata.normalize("NFC", text.translate(_INVISIBLE))


@cache
def compiled(pattern: str) -> regex.Pattern[str]:
    """A pattern of the package `regex`, in its version 1, which knows sets of characters."""
    # Takes a while to import, and the configuration is read without it.
    import regex

    return regex.compile(pattern, regex.VERSION1)


def words(text: str) -> list[str]:
    """The words of a text, folded. Scripts that are written without spaces give single characters instead.

    Marks stay with their letter. In plain ASCII, words are runs of letters and digits, as in the `rouge-score` package.
    """
    folded: list[str] = compiled(rf"{UNSPACED}\p{{M}}*|[[\p{{L}}\p{{N}}]--{UNSPACED}]{WORD_CHARACTER}*").findall(fold(text))
    return folded


BEFORE_ANYTHING = frozenset(
    [
        "dr",
        "mr",
        "mrs",
        "ms",
        "mx",
        "prof",
        "st",
        "mt",
        "gen",
        "sen",
        "rep",
        "gov",
        "capt",
        "lt",
        "col",
        "sgt",
        "rev",
        "hon",
        "messrs",
        "e.g",
        "eg",
        "i.e",
        "ie",
        "cf",
        "vs",
        "viz",
        "approx",
        "resp",
        "ca",
        "esp",
        "incl",
    ]
)
"""Abbreviations that end no sentence."""


BEFORE_NUMBERS = frozenset(
    [
        "no",
        "nos",
        "fig",
        "figs",
        "eq",
        "eqs",
        "sec",
        "secs",
        "ch",
        "art",
        "vol",
        "p",
        "pp",
        "al",
        "nr",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
    ]
)
"""Words that end no sentence where a number or bracket follows."""


# Libraries (sentencex, blingfire, syntok) cut only 12, 8 and 9 of our 14 test texts rightly, and they cut papers no better.
# Stops that need no space behind them, others with their closing quotes, and line breaks.
_END = re.compile(r"[。！？｡]+[」』”’）)\"']*|(?<![.!?…])[.!?…؟۔।॥።။។]+[\"'”’»)\]]*(?=\s|$)|\n")


_LONGEST_ABBREVIATION = 30


def sentences(text: str) -> list[str]:
    """The sentences of a text, without white space around them. A line break ends one too.

    A full stop ends no sentence after a usual English abbreviation, an initial or the number of an item. Nor does it before a
    small letter, unless the whole text is in small letters.
    """
    has_capitals = text != text.lower()
    parts, start = [], 0
    for end in _END.finditer(text):
        if end[0][0] == ".":
            before = text[max(start, end.start() - _LONGEST_ABBREVIATION) : end.start()]
            after = text[end.end() : end.end() + _LONGEST_ABBREVIATION].lstrip()
            if _goes_on(before, after) or (has_capitals and after[:1].islower()):
                continue
        parts.append(text[start : end.end()])
        start = end.end()
    return [sentence for part in (*parts, text[start:]) if (sentence := part.strip())]


def _goes_on(before: str, after: str) -> bool:
    """Whether a sentence goes on behind the full stop between two texts: the stop belongs to an abbreviation, initial or item
    number.
    """
    *earlier, last = before.split() or [""]
    last = last.lstrip("([\"'“‘")
    word = last.lower()
    if after[:1] in tuple(",;:)]") or word in BEFORE_ANYTHING or (word in BEFORE_NUMBERS and re.match(r"[\d(\[]", after)):
        return True
    if not word or before[-1].isspace():
        return False
    is_item = word.isdecimal() and len(word) < 3 and not earlier
    is_initial = len(word) == 1 and last.isupper()
    is_dotted = re.fullmatch(r"[^\W\d_](\.[^\W\d_])+", word) is not None and word not in ("a.m", "p.m")
    return is_item or is_initial or is_dotted


def shortened(text: str, length: int = 60) -> str:
    """The beginning of a text on one line."""
    text = " ".join(text[: 10 * length].split())
    return text if len(text) <= length else text[:length] + "…"


def normalise_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, SQuAD)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return normalise_space(re.sub(r"\b(a|an|the)\b", " ", text))


def normalise_space(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())


def trim(text: str) -> str:
    """Text without blank lines around it and without space at its end. The indentation of its first line stays, as code needs it.

    A single space in front goes too, unless all further lines are indented as well: it only separates an answer from its prompt.
    """
    if not (body := text.strip()):
        return ""
    before = text[: len(text) - len(text.lstrip())]
    indentation = before[len(before.rstrip(" \t")) :]
    if indentation == " ":
        further = [line for line in body.splitlines()[1:] if line.strip()]
        indentation = indentation if further and all(line[0].isspace() for line in further) else ""
    return indentation + body
