"""Whether two ways are as good as each other, as far as it matters."""

from __future__ import annotations

from loragrid.analysis.statistics.intervals import p_value_at
from loragrid.analysis.statistics.results import Estimate


def is_equivalent(estimate: Estimate, smallest_difference: float) -> bool:
    """Whether a difference lies within the smallest one that matters, by two one-sided tests (Schuirmann 1987).

    Args:
        estimate: with an interval of level 1 - 2 alpha.
    """
    return -smallest_difference < estimate.low and estimate.high < smallest_difference


def equivalence_p_value(estimate: Estimate, smallest_difference: float) -> float:
    """The p-value of the two one-sided tests: below alpha exactly if the interval of level 1 - 2 alpha lies within."""
    return max(_one_sided(estimate, -smallest_difference, 1), _one_sided(estimate, smallest_difference, -1))


def _one_sided(estimate: Estimate, limit: float, side: int) -> float:
    half = p_value_at(estimate, limit) / 2
    return half if (estimate.value - limit) * side > 0 else 1 - half
