"""What may be said of a contrast: better, worse, equivalent, undecided; nothing where there is too little data."""

from __future__ import annotations

import math
from enum import StrEnum

ALPHA = 0.05
"""How often verdicts that hold together may contain a false one, if there is no difference at all."""


POWER = 0.8
"""How likely a difference of the smallest detectable size is found."""


class Verdict(StrEnum):
    """What the data say of the first of two ways."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


def verdict_of(low: float, high: float, is_significant: bool, is_equivalent: bool, lower_is_better: bool) -> Verdict | None:
    """The verdict on a difference; None if there is too little data for an interval.

    A difference that is surely smaller than what matters is called equivalent, even if it is surely not 0.

    Args:
        low: lower end of the interval at the level at which verdicts hold together.
        is_significant: whether the p-value, adjusted for all that it holds together with, is small enough.
        is_equivalent: whether the difference is surely smaller than what matters.
    """
    if math.isnan(low) or math.isnan(high):
        return None
    if is_equivalent:
        return Verdict.EQUIVALENT
    if not is_significant or low <= 0 <= high:
        return Verdict.UNDECIDED
    return Verdict.WORSE if (high < 0) != lower_is_better else Verdict.BETTER
