"""Which contrasts are made: those that the configuration asks for, or by default all pairs that differ in one axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import NamedTuple

from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.pairs import Contrast, against_base, differences, interactions, slopes
from loragrid.analysis.contrasts.settings import AXES_OF_WAYS, Comparison
from loragrid.analysis.contrasts.ways import Way, compared_ways
from loragrid.analysis.main_metrics import MainMetrics

MAIN, SAMPLE_TYPES = "main", "sample_types"
"""The declared families: the contrasts that are asked for, or by default each kind of run against its base model; and by default
also which sample type trains better, over all tasks."""


MOST_ROWS = 20_000
"""So many rows of contrasts are made by default in all metrics; above, only in the main one, but those against base models."""


MOST_INTERACTIONS = 200
"""So many interactions are made by default; above, none: then name those of interest."""


class Wanted(NamedTuple):
    """A contrast, the metrics in which it is made, and the family that it belongs to in them."""

    contrast: Contrast
    metrics: tuple[str, ...] | None
    """None: all."""
    family: str
    """Of the row in the main metric, or if the contrast was asked for, in each of its metrics."""
    over_tasks: str | None = None
    """The family of the mean over tasks in the same metrics; None: it is not made."""


def wanted_contrasts(
    ways: Sequence[Way], comparisons: Sequence[Comparison] | None, main: MainMetrics, nb_metrics: int
) -> list[Wanted]:
    """The contrasts to make.

    Args:
        comparisons: those that are asked for; None: the default.
        main: the main metric of each task.
        nb_metrics: how many metrics there are.
    """
    ways = compared_ways(ways)
    if comparisons is None:
        return list(_by_default(ways, main, nb_metrics))
    wanted: dict[tuple[Contrast, str], Wanted] = {}
    for comparison in comparisons:
        family = EXPLORATORY if comparison.exploratory else MAIN
        of_tasks, over_tasks = (EXPLORATORY, family) if comparison.over_tasks else (family, None)
        for contrast in _asked_for(ways, comparison):
            for name in comparison.metrics or [main.of(contrast.first.task)]:
                one = Wanted(contrast, (name,), of_tasks, over_tasks)
                wanted[contrast, name] = _of_both(wanted.get((contrast, name), one), one)
    return list(wanted.values())


def _of_both(first: Wanted, again: Wanted) -> Wanted:
    """What is asked for twice is made once, in the family that it was declared for."""
    family = again.family if first.family == EXPLORATORY else first.family
    over_tasks = again.over_tasks if first.over_tasks in (None, EXPLORATORY) else first.over_tasks
    return first._replace(family=family, over_tasks=over_tasks or first.over_tasks)


def _asked_for(ways: Sequence[Way], comparison: Comparison) -> Iterator[Contrast]:
    chosen = [way for way in ways if all(str(getattr(way, column)) in values for column, values in comparison.where.items())]
    axis, values, against = comparison.axis, comparison.values, comparison.against
    if axis == "training":
        # The base model has no axes of training: what is asked of them is asked of runs.
        of_runs = set(chosen)
        yield from (contrast for contrast in against_base(ways) if contrast.first in of_runs)
    elif comparison.slope:
        yield from slopes(chosen, values)
    elif comparison.across is not None:
        yield from interactions(chosen, axis, comparison.across, values, against)
    else:
        yield from differences(chosen, axis, values, against)


def _by_default(ways: Sequence[Way], main: MainMetrics, nb_metrics: int) -> Iterator[Wanted]:
    """Kinds of run against base models; pairs that differ in one axis, sizes that follow each other; slopes and interactions.

    The main family is each kind of run, on its own task, against its base model, in the task's main metric. Other pairs are made
    on the task that a run was trained for, sizes against the next smaller one. All are also made over tasks, in main metrics.
    """
    for contrast in against_base(ways):
        yield Wanted(contrast, None, MAIN if contrast.first.is_on_own_task else EXPLORATORY, EXPLORATORY)
    at_home = [way for way in ways if way.is_on_own_task]
    pairs = [contrast for axis in AXES_OF_WAYS for contrast in differences(at_home, axis, neighbours=axis == "nb_samples")]
    in_all = len(pairs) * nb_metrics <= MOST_ROWS
    for contrast in pairs:
        over_tasks = SAMPLE_TYPES if contrast.axis == "trained_sample_type" else EXPLORATORY
        yield Wanted(contrast, None if in_all else _main(contrast, main), EXPLORATORY, over_tasks)
    yield from (Wanted(contrast, _main(contrast, main), EXPLORATORY) for contrast in slopes(at_home))
    each = (contrast for two in combinations(AXES_OF_WAYS, 2) for contrast in interactions(at_home, *two))
    crossed = list(islice(each, MOST_INTERACTIONS + 1))
    if len(crossed) <= MOST_INTERACTIONS:
        yield from (Wanted(contrast, _main(contrast, main), EXPLORATORY) for contrast in crossed)


def _main(contrast: Contrast, main: MainMetrics) -> tuple[str, ...]:
    return (main.of(contrast.first.task),)
