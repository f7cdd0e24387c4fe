"""The way that validation chooses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from loragrid.analysis.selection.candidates import Way
from loragrid.analysis.selection.validation import Validated

ROUNDING = 1e-12
"""Results that differ by less than this part of them are the same: sums in another order."""


class Choice(NamedTuple):
    """What validation chose among ways."""

    way: Way | None
    """None if nothing could be chosen."""
    validated: Validated | None = None
    """Its result on validation data."""
    ties: int = 1
    """How many ways have the same result; the first of them is chosen."""
    why_not: str = ""
    """Why nothing could be chosen."""


def choose(results: Mapping[Way, Validated | None], lower_is_better: bool) -> Choice:
    """The way with the best result on validation data. Of ways with the same result, the first in the order of the grid.

    Nothing is chosen while a way has no result, since it might be the best, nor between results on different examples.

    Args:
        results: of each way, in the order of the grid.
    """
    known = {way: result for way, result in results.items() if result is not None}
    if len(known) < len(results):
        return Choice(None, why_not=f"{len(results) - len(known)} of {len(results)} ways have no result on validation data")
    if any(result.n == 0 for result in known.values()):
        return Choice(None, why_not="no validation example has results of all ways")
    if len({result.asked for result in known.values()}) > 1:
        return Choice(None, why_not="the ways were validated on different examples")
    best = (min if lower_is_better else max)(result.value for result in known.values())
    equal = [way for way, result in known.items() if math.isclose(result.value, best, rel_tol=ROUNDING)]
    return Choice(equal[0], known[equal[0]], len(equal))
