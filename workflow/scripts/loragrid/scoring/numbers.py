"""Scorers of numbers: the one that an answer gives, and how long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.text.words import compiled, shortened, words

_SEPARATOR = r"[,٬'’\u00a0\u2009\u202f]"


# Written so that no text takes longer than its length: what is repeated is bounded, or never given back.
NUMBER = rf"""(?x:
    # After a letter or digit it is a hyphen, as in "2020-21".
    (?:(?P<sign>(?<![\w)\]}}%])[-−–+])\p{{Sc}}?)?
    (?:
        # Digits after a Latin letter belong to a word, as in "H2O".
        (?<![A-Za-z\d])(?:
            (?P<whole>\d{{1,3}}(?P<separator>{_SEPARATOR})\d{{3}}(?!\d)(?:(?P=separator)\d{{3}}(?!\d))*+)(?:[.٫](?P<part>\d++))?
            | (?P<whole>\d{{1,3}}(?:\.\d{{3}}(?!\d))++),(?P<part>\d{{1,2}})(?!\d)
            | (?P<whole>\d{{1,3}}(?:\.\d{{3}}(?!\d)){{2,}}+)
            | (?<!\d,)(?P<whole>\d++),(?P<part>\d{{1,2}}|\d{{4,}}+)(?![\d,])
            | (?P<whole>\d++)(?:[.٫](?P<part>\d++))?
        )
        | (?<![\w.])\.(?P<part>\d++)
    )
    (?:
        [eE](?P<exponent>[-−+]?\d{{1,4}})(?!\d)
        | \s?(?:[x×*·⋅]|\\times|\\cdot)\s?10(?:(?:\^|\*\*)\{{?(?P<exponent>[-−+]?\d{{1,4}})(?!\d)|(?P<exponent>⁻?[⁰¹²³⁴-⁹]{{1,4}}))
    )?
)"""


# One more word, such as a unit, may follow; more than that is a heading.
MARKED = rf"(?m)####[ \t]*\p{{Sc}}?{NUMBER}[ \t]*\S{{0,20}}[ \t]*$"


_EXPONENTS = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")


def number(read: Literal["first", "last"], tolerance: float) -> ScorerFunction:
    """1 where prediction and reference hold the same number (`number_match`).

    Args:
        tolerance: the largest difference, as a share of the reference's number.
    """
    share = Decimal(str(tolerance))

    def score_one(item: Item) -> Outcome:
        wanted = [found for reference in item.references if (found := read_number(reference, read)) is not None]
        if not wanted:
            return Failed(f"the reference holds no number: '{shortened(' '.join(item.references))}'")
        given = read_number(item.prediction, read)
        match = given is not None and any(abs(given - one) <= share * abs(one) for one in wanted)
        return Scored({"number_match": float(match)}, "no number" if given is None else _written(given))

    return lambda items: [score_one(item) for item in items]


def read_number(text: str, read: Literal["first", "last"]) -> Decimal | None:
    """The first or last number of a text, but one that stands marked as the answer, as in "#### 42", before all others; None without a number.

    A comma before exactly three digits separates thousands, as other usual signs do; before other digits it is a decimal comma. Signs of currency and
    percent count for nothing, fractions are two numbers, and numbers in words are none.
    """
    found = compiled(MARKED).search(text)
    for match in compiled(NUMBER).finditer(text) if found is None else ():
        found = match
        if read == "first":
            break
    if found is None:
        return None
    whole = "".join(filter(str.isdecimal, found["whole"] or "0"))
    sign = "" if found["sign"] in (None, "+") else "-"
    return Decimal(f"{sign}{whole}.{found['part'] or 0}E{(found['exponent'] or '0').translate(_EXPONENTS)}")


def _written(value: Decimal) -> str:
    """A number for the reader, with at most 28 digits."""
    return f"{value.normalize():f}" if -10 < value.adjusted() < 21 else f"{value:.6e}"


def length(items: Sequence[Item]) -> list[Scored]:
    """Length of the answer in `words` and `characters`, and of its words as a share of those of the first reference (`length_ratio`).

    The share is NaN where the reference has no words.
    """

    def score_one(item: Item) -> Scored:
        given, wanted = len(words(item.prediction)), len(words(item.references[0]))
        ratio = given / wanted if wanted else math.nan
        return Scored({"words": given, "characters": len(item.prediction), "length_ratio": ratio})

    return [score_one(item) for item in items]
