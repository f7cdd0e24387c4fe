"""Verdicts on all contrasts of a grid, each with what it holds together with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.estimates import Found
from loragrid.analysis.contrasts.verdicts import ALPHA, POWER, Verdict, verdict_of
from loragrid.analysis.statistics.equivalence import equivalence_p_value, is_equivalent
from loragrid.analysis.statistics.families import benjamini_hochberg, simultaneous
from loragrid.analysis.statistics.intervals import at_level
from loragrid.analysis.statistics.power import Needed, detectable_difference, needed
from loragrid.analysis.statistics.results import Estimate


class Conclusion(NamedTuple):
    """A contrast with its verdict."""

    found: Found
    estimate: Estimate
    """With the interval at the level at which the verdicts of its family hold together."""
    level: float
    p_adjusted: float
    verdict: Verdict | None
    smallest_difference: float
    """What matters in this metric; NaN where nothing is said."""
    detectable: float
    needed: Needed


def conclude(found: Sequence[Found], smallest_differences: Mapping[str, float]) -> list[Conclusion]:
    """The verdicts, in the same order.

    In a declared family, all intervals hold together with probability 1 - `ALPHA`. Outside, intervals hold one by one, and the
    verdicts of each metric have at most the share `ALPHA` of false ones, as expected (Benjamini & Hochberg 1995).

    Args:
        smallest_differences: what matters, by metric.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(found):
        groups.setdefault((one.family, one.name if one.family == EXPLORATORY else ""), []).append(place)
    by_place: dict[int, Conclusion] = {}
    for (family, _), places in groups.items():
        judge = _one_by_one if family == EXPLORATORY else _together
        by_place |= zip(places, judge([found[place] for place in places], smallest_differences), strict=True)
    return [by_place[place] for place in range(len(found))]


def _together(found: Sequence[Found], smallest_differences: Mapping[str, float]) -> Iterable[Conclusion]:
    """The verdicts of a family."""
    estimates = [one.estimate for one in found]
    level, adjusted = simultaneous(estimates, ALPHA)
    for one, p_value in zip(found, adjusted, strict=True):
        least = smallest_differences.get(one.name, math.nan)
        same = least > 0 and is_equivalent(at_level(one.estimate, 1 - 2 * (1 - level)), least)
        yield _concluded(one, level, float(p_value), same, least)


def _one_by_one(found: Sequence[Found], smallest_differences: Mapping[str, float]) -> Iterable[Conclusion]:
    """The verdicts on contrasts of one metric that were not declared beforehand."""
    adjusted = benjamini_hochberg([one.estimate.p_value for one in found])
    least = smallest_differences.get(found[0].name, math.nan)
    same = np.full(len(found), np.nan)
    if least > 0:
        same = benjamini_hochberg([equivalence_p_value(one.estimate, least) for one in found])
    for one, p_value, p_same in zip(found, adjusted, same, strict=True):
        yield _concluded(one, 1 - ALPHA, float(p_value), bool(p_same <= ALPHA), least)


def _concluded(one: Found, level: float, p_adjusted: float, same: bool, least: float) -> Conclusion:
    estimate = at_level(one.estimate, level)
    verdict = verdict_of(estimate.low, estimate.high, p_adjusted <= ALPHA, same, one.lower_is_better)
    if verdict is None:
        return Conclusion(one, estimate, level, p_adjusted, None, least, math.nan, Needed(None, None))
    detectable = detectable_difference(one.estimate, level, POWER)
    to_decide = Needed(None, None)
    # Of a mean over tasks it is not known what the error comes from.
    is_known = not math.isnan(estimate.of_questions)
    if is_known and verdict is Verdict.UNDECIDED and (difference := least if least > 0 else abs(estimate.value)):
        to_decide = needed(one.estimate, difference, level, POWER)
    return Conclusion(one, estimate, level, p_adjusted, verdict, least, detectable, to_decide)
