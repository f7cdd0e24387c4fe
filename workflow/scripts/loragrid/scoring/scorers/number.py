"""The scorer `number`."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import ScorerInputs, ScorerSettings
from loragrid.text.words import compiled, shortened


class NumberScorer(ScorerSettings):
    """1 if prediction and reference hold the same number, else 0."""

    type: Literal["number"] = Field(description="Chooses this scorer.")
    read: Literal["first", "last"] = Field("last", description="Which number of a text counts.")
    tolerance: float = Field(0.0, ge=0, description="Largest difference, as a share of the reference's number.")

    example_metrics = ("number_match",)

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return number(self.read, self.tolerance)


_SEPARATOR = r"[,٬'’\u00a0\u2009\u202f]"


# Reading a text takes time in proportion to its length: every repetition is bounded, or never backtracks.
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
        | \s?(?:[x×*·⋅]|\\times|\\cdot)\s?10
            (?:(?:\^|\*\*)\{{?(?P<exponent>[-−+]?\d{{1,4}})(?!\d)|(?P<exponent>⁻?[⁰¹²³⁴-⁹]{{1,4}}))
    )?
)"""


# One more word, such as a unit, may follow. A line with more words is a heading.
MARKED = rf"(?m)####[ \t]*\p{{Sc}}?{NUMBER}[ \t]*\S{{0,20}}[ \t]*$"


_EXPONENTS = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")


def number(read: Literal["first", "last"], tolerance: float) -> ScorerFunction:
    """1 where prediction and reference hold the same number (`number_match`).

    Args:
        tolerance: the largest difference, as a share of the reference's number.
    """
    share = Decimal(str(tolerance))

    def score_one(item: Item) -> Outcome:
        wanted = [own for reference in item.references if (own := read_number(reference, read)) is not None]
        if not wanted:
            return Failed(f"the reference holds no number: '{shortened(' '.join(item.references))}'")
        given = read_number(item.prediction, read)
        match = given is not None and any(abs(given - own) <= share * abs(own) for own in wanted)
        return Scored({"number_match": float(match)}, "no number" if given is None else _written(given))

    return lambda items: [score_one(item) for item in items]


def read_number(text: str, read: Literal["first", "last"]) -> Decimal | None:
    """The first or last number of a text; None if it has no number.

    A number that is marked as the answer, as in "#### 42", goes before all others.
    A comma before exactly three digits separates thousands, as other usual signs do; before other digits it is a decimal comma.
    Signs of currency and percent count for nothing, fractions are two numbers, and numbers in words are none.
    """
    chosen = compiled(MARKED).search(text)
    for match in compiled(NUMBER).finditer(text) if chosen is None else ():
        chosen = match
        if read == "first":
            break
    if chosen is None:
        return None
    whole = "".join(filter(str.isdecimal, chosen["whole"] or "0"))
    sign = "" if chosen["sign"] in (None, "+") else "-"
    return Decimal(f"{sign}{whole}.{chosen['part'] or 0}E{(chosen['exponent'] or '0').translate(_EXPONENTS)}")


def _written(value: Decimal) -> str:
    """A number for the reader, with at most 28 digits."""
    return f"{value.normalize():f}" if -10 < value.adjusted() < 21 else f"{value:.6e}"
