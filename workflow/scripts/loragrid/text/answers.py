"""Short answers as they are compared: normalised as SQuAD does, as far as that leaves their meaning."""

from __future__ import annotations

import re
import string

from loragrid.text.words import UNSPACED, compiled, normalise_space, one_form

PUNCTUATION = string.punctuation + "“”‘’„‚«»‹›…¿¡" + "。，、！？；：「」『』（）《》〈〉【】，．،؛؟।॥"
"""Signs that answers are compared without: those of ASCII, as in SQuAD, and those that print and other languages
have in their place."""


_SEPARATOR = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
"""A comma between thousands."""


_MEANT = re.compile(
    r"(?<!\w)-(?=\$?\.?\d)|(?<=\de)-(?=\d)"  # the sign of "-5", "-$5" and "1e-5"
    r"|(?<=\d)(?:[-.,:/+=]|\*\*?)(?=\d)"  # as in "3.5", "1/2", "12:30", "2-1", "2+3"
    r"|(?<=[\w)])\^(?=[-\w({])"  # as in "2^3", "x^2"
    r"|[<>](?=-?\$?\.?\d)(?!-?[\w.]{1,30}>)|(?<=\w )[<>](?= -?\$?\.?\d)|(?<=\w)[<>](?=\w)"  # as in "<5", "x > 3", "a<b"
    r"|(?<!\w)\.(?=\d)"  # as in ".5"
    r"|(?<=\w)[+#]+(?![\w#+])"  # as in "C++", "C#", "A+"
    r"|(?<=\b[^\W\d_])-(?![\w-])|(?<=\b[^\W\d_]{2})-(?![\w-])"  # as in "O-", "Cl-"
)
"""Punctuation without which an answer is another one."""


# Not that of "A+" and "A-", nor that of "Vitamin A".
_ARTICLES = re.compile(r"\b(?:a\b(?=\s+\S)|(?:an|the)\b)(?![+#-])")


_HYPHENS = str.maketrans("−–‐‑", "----")


def normalise_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space, as in SQuAD (Rajpurkar et al. 2016).

    Other than in SQuAD, signs stay that make another answer of an answer, as in "-5", "3.5", "1/2" and "C++"; "a" at the end
    is no article, as in "Vitamin A"; and texts that look alike are the same.
    """
    return _without_articles(_without_punctuation(_plain(text)))


def comparable(prediction: str, reference: str) -> tuple[str, str]:
    """A prediction and its reference as they are compared: normalised as far as something is left of the reference.

    The answer "A" would be empty without articles, and "!!!" without punctuation. Both texts then keep these.
    """
    texts = _plain(prediction), _plain(reference)
    bare = _without_punctuation(texts[0]), _without_punctuation(texts[1])
    normalised = _without_articles(bare[0]), _without_articles(bare[1])
    if normalised[1] or not texts[1]:
        return normalised
    return bare if bare[1] else texts


def answer_words(text: str) -> list[str]:
    """The words of a normalised answer. Scripts that are written without spaces give single characters instead."""
    found: list[str] = compiled(rf"{UNSPACED}\p{{M}}*|[\S--{UNSPACED}]+").findall(text)
    return found


def _plain(text: str) -> str:
    return normalise_space(one_form(text).lower().translate(_HYPHENS))


def _without_punctuation(text: str) -> str:
    text = _SEPARATOR.sub("", text)
    meant = {i for match in _MEANT.finditer(text) for i in range(*match.span())}
    return normalise_space("".join(sign for i, sign in enumerate(text) if sign not in PUNCTUATION or i in meant))


def _without_articles(text: str) -> str:
    return normalise_space(_ARTICLES.sub(" ", text))
