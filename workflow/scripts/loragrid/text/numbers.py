"""Numbers in texts, as people and models write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from loragrid.text.marks import ANSWER_IS, last_boxed, marked_lines
from loragrid.text.words import compiled, one_form

if TYPE_CHECKING:
    import regex

Read = Literal["first", "last"]


# No number of several groups begins with 0.
_FIRST = r"(?![0٠۰])\d"


# Reading a text takes time in proportion to its length: every repetition is bounded, or never backtracks.
NUMBER = rf"""(?x:
    # After a letter or digit it is a hyphen, as in "2020-21".
    (?:(?P<sign>(?<![\w)\]}}%])[-−–+])\p{{Sc}}?)?
    (?:
        # Digits after a Latin letter belong to a word, as in "H2O".
        (?<![A-Za-z\d])(?:
            (?P<units>\d{{1,9}}+)[ ](?P<over>{_FIRST}\d?)/(?P<under>{_FIRST}\d{{0,2}})(?![\d/]|[.,]\d)
            | 10(?:(?:\^|\*\*)\{{?(?P<power>[-−+]?\d{{1,4}})(?!\d)|(?P<power>⁻?[⁰¹²³⁴-⁹]{{1,4}}))
            | (?P<whole>{_FIRST}\d?(?:,\d{{2}}(?!\d))++,\d{{3}}(?!\d))(?:\.(?P<part>\d++))?
            | (?P<whole>{_FIRST}\d{{0,2}}(?P<separator>[,٬])\d{{3}}(?!\d)(?:(?P=separator)\d{{3}}(?!\d))*+)(?:[.٫](?P<part>\d++))?
            # A hyphen makes the last group a word of its own, as in "2 500-page books".
            | (?P<whole>{_FIRST}\d{{0,2}}(?P<separator>['’_\u0020\u00a0\u2007\u2009\u202f])\d{{3}}(?![\d]|[-‐]\p{{L}})
                (?:(?P=separator)\d{{3}}(?!\d))*+)
                (?:[.٫](?P<part>\d++)|,(?P<part>\d{{1,2}})(?!\d))?
            | (?P<whole>\d{{1,3}}(?:\.\d{{3}}(?!\d))++),(?P<part>\d++)
            | (?P<whole>\d{{1,3}}(?:\.\d{{3}}(?!\d))++)(?=,[-–—])
            | (?P<whole>\d{{1,3}}(?:\.\d{{3}}(?!\d)){{2,}}+)
            | (?<!\d,)(?P<whole>\d++),(?P<part>\d{{1,2}}|\d{{4,}}+)(?![\d,])
            | (?<!\d,)(?P<whole>[0٠۰]),(?P<part>\d++)(?![\d,])
            | (?P<whole>\d++)(?:[.٫](?P<part>\d++))?
        )
        | (?<![\w.])\.(?P<part>\d++)
    )
    (?:
        [eE](?P<exponent>[-−+]?\d{{1,4}})(?!\d)
        | \s?[x×*·⋅]\s?10
            (?:(?:\^|\*\*)\{{?(?P<exponent>[-−+]?\d{{1,4}})(?!\d)|(?P<exponent>⁻?[⁰¹²³⁴-⁹]{{1,4}}))
    )?
    # Not in a date, as in "3/4/2020".
    (?:(?<!/[ ]?\d{{1,15}})[ ]?/[ ]?(?P<below>\d{{1,15}}+(?:\.\d{{1,15}}+)?)(?![\d/]|[.,]\d))?
)"""


# One more word, such as a unit, may follow, and a remark in brackets. A line with more words is a heading.
_LINE = rf"[^\w\n.+−–-]{{0,9}}{NUMBER}[ \t]*\S{{0,20}}[ \t]*(?:\([^()\n]{{0,200}}\)[.\s]*)?$"


_CURRENCY = (
    r"(?:(?:USD|EUR|GBP|CHF|JPY|CNY|RMB|INR|AUD|CAD|NZD|SGD|HKD|SEK|NOK|DKK|PLN|CZK|HUF|TRY|BRL|MXN|ZAR|KRW|RUB|"
    r"Rs|Rp|Fr|kr)\.?[ ]?|(?:US|AU|CA|NZ|HK|NT|[ACRS])(?=\$))?\p{Sc}?[ ]?"
)


_CALLED_ANSWER = rf"{ANSWER_IS}(?:[\s*_(\[{{\"'“$`]|\\[(\[]){{0,12}}(?:[A-Za-z][ ]?=[ ]?)?{_CURRENCY}{NUMBER}"


_EXPONENTS = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")


_ALIKE = str.maketrans("０１２３４５６７８９．，－＋％／＝⁄∕", "0123456789.,-+%/=//")


_ARGUMENT = r"(?:\{\s*(-?\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?)\s*\}|(\d))"


def _ratio(fraction: re.Match[str]) -> str:
    """A fraction of LaTeX as two numbers with a slash."""
    _, *arguments = fraction.groups("")
    over, under = ("".join(pair).replace(",", "") for pair in (arguments[:2], arguments[2:]))
    return f"{'' if fraction[1] is None else ' '}{over}/{under}"


_LATEX: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\{\s*([.,])\s*\}"), r"\1"),
    (re.compile(r"(?<=\d)(?:,\s?\\!|\\!\s?,)\s?(?=\d)"), ","),
    (re.compile(r"(?<=\d)(?:\{?\\(?:[,;:! ]|thinspace(?![A-Za-z]) ?)\}?|~)(?=\d)"), "\u2009"),
    (re.compile(r"\\([%$#_])"), r"\1"),
    (re.compile(rf"((?<=\d)\s?)?\\[dtc]?frac\s?{_ARGUMENT}\s?{_ARGUMENT}"), _ratio),
    (re.compile(r"\\times(?![A-Za-z])"), "×"),
    (re.compile(r"\\cdot(?![A-Za-z])"), "·"),
    (re.compile(r"\\(?:approx|simeq)(?![A-Za-z])"), "≈"),
    (re.compile(r"\\[A-Za-z]{1,30}"), " "),
)
"""Commands of LaTeX in and before numbers, and what stands in their place."""


def read_number(text: str, read: Read) -> Decimal | None:
    r"""The number that a text gives as its answer; None if it has no number.

    A number that is marked as the answer goes before all others: behind `####`, else in the last `\boxed{}`, else behind words
    such as "The answer is". Without a mark, or among several such words, `read` says whether the first or last number counts.

    Before exactly three digits, a comma, space, apostrophe or underscore separates thousands; before other digits, a comma is a
    decimal comma. A point is a decimal point, unless there are several, or a comma follows. So "1.234,5" is 1234.5, and "1.234"
    is less than 2. "1/2" is a half. Signs of currency and percent count for nothing, and numbers in words are none.
    """
    text = one_form(text)
    for line in marked_lines(text):
        if match := compiled(_LINE).match(_plain(last_boxed(line) or line)):
            return _value(match)
    boxed = last_boxed(text)
    if boxed is not None:
        return _result(_plain(boxed), "first")
    text = _plain(text)
    called = [found for match in compiled(_CALLED_ANSWER).finditer(text) if (found := _called_answer(text, match)) is not None]
    return called[0 if read == "first" else -1] if called else _chosen(text, read)


def _plain(text: str) -> str:
    """Text whose numbers are written in one way: without commands of LaTeX, full-width digits and single signs for fractions."""
    if not text.isascii():
        text = re.sub(r"(?<=\d)(?=[¼-¾⅐-⅞])", " ", text.translate(_ALIKE))
        text = re.sub("[¼-¾⅐-⅞]", lambda match: unicodedata.normalize("NFKC", match[0]).replace("⁄", "/"), text)
    if "\\" in text or "{" in text or "~" in text:
        for pattern, instead in _LATEX:
            text = pattern.sub(instead, text)
    return text


def _called_answer(text: str, match: regex.Match[str]) -> Decimal | None:
    """The number that is called the answer. Where it only begins a calculation, the result of that; None if there is none."""
    sentence = re.compile(r"[.!?](?=\s|$)|[\n(]|$").split(text[match.end() : match.end() + 200], maxsplit=1)[0]
    if re.search(r"[=≈]", sentence):
        return _result(sentence, "first")
    return None if re.match(r"\s?[-+*×·÷^]\s?\d", sentence) else _value(match)


def _result(text: str, read: Read) -> Decimal | None:
    """The number behind the last sign of equality, or of the text, if it has no such sign."""
    return _chosen(re.split(r"[=≈]", text)[-1], read)


def _chosen(text: str, read: Read) -> Decimal | None:
    matches: Iterator[regex.Match[str]] = compiled(NUMBER).finditer(text)
    chosen = next(matches, None)
    for match in matches if read == "last" else ():
        chosen = match
    return None if chosen is None else _value(chosen)


def _value(match: regex.Match[str]) -> Decimal:
    if match["power"]:
        value = Decimal(f"1E{match['power'].translate(_EXPONENTS)}")
    elif match["units"]:
        units, over, under = (Decimal(match[name]) for name in ("units", "over", "under"))
        value = units + over / under if over < under else over / under
    else:
        whole = "".join(filter(str.isdecimal, match["whole"] or "0"))
        value = Decimal(f"{whole}.{match['part'] or 0}E{(match['exponent'] or '0').translate(_EXPONENTS)}")
        below = Decimal(match["below"] or 0)
        value = value / below if below else value
    return value if match["sign"] in (None, "+") else value.copy_negate()
