"""How each way stands to the best way of its data set in a metric."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loragrid.analysis.contrasts.asked import Wanted
from loragrid.analysis.contrasts.estimates import Found, WaysOfGrid, find
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.pairs import Contrast
from loragrid.analysis.contrasts.verdicts import ALPHA
from loragrid.analysis.contrasts.ways import Way
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.main_table.cells import Standing
from loragrid.analysis.statistics.equivalence import is_equivalent
from loragrid.analysis.statistics.families import simultaneous
from loragrid.analysis.statistics.intervals import at_level

WayRow = Mapping[str, Any]
"""A row of the table of ways."""


def standings(
    rows: Sequence[WayRow], ways: WaysOfGrid, measured: Sequence[Measured], smallest_differences: Mapping[str, float]
) -> list[Standing | None]:
    """The standing of each row of the table of ways; None: worse than the best of its data set and metric, or without a mean.

    The best is compared with every other way on the same questions; the intervals of these differences hold together, for each
    data set and metric. So the way that would be best on all questions that there could be is among those with a standing, with a
    probability of 95 % (subset selection, Gupta 1965; here two-sided, which is the careful side). Where all means are the same,
    none is best.

    Args:
        smallest_differences: what matters, by metric.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if not math.isnan(row.get("mean", math.nan)):
            groups.setdefault(_group(row), []).append(place)
    by_group = {(one.task, one.sample_type, one.scorer, one.metric): one for one in measured}
    found: list[Standing | None] = [None] * len(rows)
    for group, places in groups.items():
        of_group = _of_group([rows[place] for place in places], ways, by_group[group], smallest_differences)
        for place, standing in zip(places, of_group, strict=True):
            found[place] = standing
    return found


def _group(row: WayRow) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("task", "sample_type", "scorer", "metric"))


def _of_group(
    rows: Sequence[WayRow], ways: WaysOfGrid, measured: Measured, smallest_differences: Mapping[str, float]
) -> Iterator[Standing | None]:
    means = [row["mean"] for row in rows]
    if len(set(means)) == 1:
        yield from [None] * len(rows)
        return
    best = (min if measured.lower_is_better else max)(means)
    named = [Way(**{name: row[name] for name in Way._fields}) for row in rows]
    first = named[means.index(best)]
    contrasts = [
        Contrast("best", "difference", first.way, way.way, ((1.0, first),), ((1.0, way),)) for way in named if way != first
    ]
    wanted = [Wanted(one, (measured.name,), "best") for one in contrasts]
    found = list(find(wanted, ways, [measured], {}, MainMetrics(measured.name)))
    told = dict(zip((one.contrast.minus[0][1] for one in found), against_best(found, smallest_differences), strict=True))
    for way, mean in zip(named, means, strict=True):
        # Two ways without common questions cannot be told apart.
        yield Standing.BEST if mean == best else told.get(way, Standing.UNDECIDED)


def against_best(found: Sequence[Found], smallest_differences: Mapping[str, float]) -> Iterator[Standing | None]:
    """The standing of each way that is subtracted from the best, all in one metric and judged together."""
    estimates = [one.estimate for one in found]
    together, adjusted = simultaneous(estimates, ALPHA)
    least = smallest_differences.get(found[0].name) if found else None
    # Of two one-sided tests, each may err with the probability that the two-sided one has.
    level = 1 - 2 * (1 - together)
    for one, p_value in zip(found, adjusted, strict=True):
        if least and is_equivalent(at_level(one.estimate, level), least):
            yield Standing.EQUIVALENT
        elif p_value <= ALPHA and (one.estimate.value < 0) == one.lower_is_better:
            yield None
        else:
            yield Standing.UNDECIDED
