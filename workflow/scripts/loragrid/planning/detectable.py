"""The smallest difference that a study will probably see, before anything is trained."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from loragrid.analysis.contrasts.asked import MAIN, Wanted, wanted_contrasts
from loragrid.analysis.contrasts.pairs import Contrast
from loragrid.analysis.contrasts.task_groups import groups_over_tasks
from loragrid.analysis.contrasts.verdicts import ALPHA, POWER
from loragrid.analysis.contrasts.ways import Way, ways_of_evaluations
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.config.root import Config
from loragrid.config.sweeps import meant_comparisons
from loragrid.data.tasks import cluster_key
from loragrid.grid.runs import Grid
from loragrid.layout import ANALYSE, PREPARE_DATASET, Dataset
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json

ASSUMED_DEVIATION = 0.3
"""Standard deviation of the difference of two answers to a question, as a part of the metric's range, if nothing is recorded."""


ASSUMED_OF_SEEDS = 0.02
"""The same of differences between training seeds."""


class Spreads(NamedTuple):
    """The variance components of one difference of two answers, as `statistics.power` takes them."""

    of_questions: float
    of_seeds: float
    of_both: float


class Planned(NamedTuple):
    """A contrast in the main metric."""

    contrast: Contrast
    over_tasks: str | None
    """The family of its mean over tasks."""
    name: str
    """The metric."""


class Study(NamedTuple):
    """What is supposed of all contrasts in one metric."""

    metric: str
    spreads: Spreads
    level: float
    """Of each interval."""
    most: float
    """The metric's whole range, which no difference exceeds."""


class Size(NamedTuple):
    """How much a contrast will rest on."""

    dataset: Dataset
    seeds: int
    """0: nothing is trained."""
    trained: int
    """How many of both ways are trained."""


def describe_detectable(grid: Grid) -> list[str]:
    """Lines of the plan: the smallest difference in its main metric that the main family will probably see.

    There is one for each data set, and for each mean over tasks with the same main metric.
    """
    main = grid.config.main_metrics
    ways = ways_of_evaluations([*grid.evaluations, *grid.external])
    family = main_family(wanted_contrasts(list(ways), meant_comparisons(grid.config), main, 1), main)
    number = sum(map(len, family.values()))
    parts = [_in_metric(grid, metric, members, ways, number) for metric, members in family.items()]
    lines = [line for part in parts for line in part]
    return [*lines, *_lost_groups(grid)] if lines else []


def _in_metric(
    grid: Grid, metric: str, members: Sequence[Sequence[Contrast]], ways: Mapping[Way, Mapping[int, object]], number: int
) -> list[str]:
    """What is said of the members of the main family in one metric.

    Args:
        number: of all members, whose verdicts hold together.
    """
    rests_on = dict.fromkeys(tuple(size_of(contrast, ways) for contrast in group) for group in members)
    recorded = recorded_spreads(Path(grid.own(ANALYSE).outputs["contrasts"]), metric)
    limits = grid.config.limits_of_metrics.get(metric)
    has_seeds = any(size.seeds > 1 for sizes in rests_on for size in sizes)
    spreads, basis = spreads_of(recorded, limits, has_seeds)
    study = Study(metric, spreads, 1 - ALPHA / number, limits[1] - limits[0] if limits else math.inf)
    lines = [line for sizes in rests_on if (line := _line(grid, sizes, study))]
    if not lines:
        return []
    contrasts = "1 contrast" if number == 1 else f"{number:,} contrasts that hold together"
    return [
        "",
        f"Smallest difference in {metric} that will probably be seen ({POWER:.0%}), in {contrasts}:",
        *lines,
        f"  what this rests on: {basis}",
    ]


def main_family(wanted: Sequence[Wanted], main: MainMetrics) -> dict[str, list[list[Contrast]]]:
    """The members of the main family in main metrics, by metric: single contrasts, and those of each mean over tasks."""
    in_main = [(one, main.of(one.contrast.first.task)) for one in wanted]
    in_main = [(one, metric) for one, metric in in_main if metric in (one.metrics or (metric,))]
    family: dict[str, list[list[Contrast]]] = {}
    for one, metric in in_main:
        if one.family == MAIN:
            family.setdefault(metric, []).append([one.contrast])
    planned = [Planned(one.contrast, one.over_tasks, metric) for one, metric in in_main if one.over_tasks == MAIN]
    for group in groups_over_tasks(planned):
        family.setdefault(group[0].name, []).append([one.contrast for one in group])
    return family


def _lost_groups(grid: Grid) -> Iterator[str]:
    """A line for each data set whose source names groups that no key of the metadata keeps."""
    for task, sample_type in grid.datasets:
        group = grid.config.source_of(task, sample_type).split.group
        if group is not None and cluster_key(grid.config.tasks[task], sample_type, group) is None:
            yield (
                f"  {task}/{sample_type}: split.group keeps rows together, but no key of the metadata has its template: "
                "questions count as independent unless they have the same input; see cluster_by"
            )


def size_of(contrast: Contrast, ways: Mapping[Way, Mapping[int, object]]) -> Size:
    """On how many seeds a contrast will rest, and on which questions."""
    trained = [way for way in (contrast.plus[0][1], contrast.minus[0][1]) if way.is_trained]
    seeds = min((len(ways[way]) for way in trained), default=0)
    # The same runs that are asked in two ways are trained once.
    return Size(Dataset(contrast.first.task, contrast.first.sample_type), seeds, len({way.way for way in trained}))


def _line(grid: Grid, sizes: Sequence[Size], study: Study) -> str | None:
    """What is said of one contrast, or of the mean of those of several tasks; None if too little is known."""
    found = [nb_questions(grid, size.dataset) for size in sizes]
    numbers = [questions for questions, _ in found if questions is not None and questions > 1]
    if len(numbers) < len(sizes):
        return None
    least = _detectable(sizes, numbers, study, _is_right_or_wrong(grid.config, study.metric))
    seeds = min(size.seeds for size in sizes)
    scope = {0: "nothing trained", 1: "one training seed: about these trainings"}.get(seeds, f"{seeds} training seeds")
    about = sizes[0].dataset.name if len(sizes) == 1 else f"mean over {len(sizes)} tasks"
    is_known = all(known for _, known in found)
    shown = f"{least:.3f}" if math.isfinite(least) and least <= study.most else _nothing_seen(study.most)
    return f"  {about}: {shown} ({sum(numbers):,} questions{'' if is_known else ' at most'}, {scope})"


def _nothing_seen(most: float) -> str:
    return "none, however large: too few questions" if math.isinf(most) else "none, not even the metric's whole range"


def _detectable(sizes: Sequence[Size], numbers: Sequence[int], study: Study, right_or_wrong: bool) -> float:
    """Of the mean of one or several tasks, each counting alike and having trainings of its own.

    Args:
        numbers: of each task's questions.
    """
    # Slow to import.
    from loragrid.analysis.statistics import power

    tasks, spreads = len(sizes), study.spreads
    # Means over tasks are judged by Student's t alone.
    is_single = tasks == 1
    # So many questions of one task would have the variance of the mean.
    as_of_one = round(tasks**2 / sum(1 / number for number in numbers))
    return power.planned_detectable_difference(
        power.Spreads(spreads.of_questions, spreads.of_seeds / tasks, spreads.of_both),
        as_of_one,
        max(min(size.seeds for size in sizes), 1),
        clusters=sum(numbers),
        trained=max(sum(size.trained for size in sizes), 1),
        level=study.level,
        power=POWER,
        right_or_wrong=power.RightOrWrong() if right_or_wrong and is_single else None,
        by_signs=is_single,
    )


def _is_right_or_wrong(config: Config, name: str) -> bool:
    scorer, _, metric = name.partition("/")
    return metric in config.scorers[scorer].right_or_wrong


def nb_questions(grid: Grid, dataset: Dataset) -> tuple[int | None, bool]:
    """How many test questions are asked, as far as it is known, and whether it is known for sure."""
    subset = grid.config.tasks[dataset.task].subset
    manifest = Path(PREPARE_DATASET.path("manifest", dataset.wildcards))
    if manifest.exists():
        found = looked_into(manifest, lambda: read_json(manifest, ["examples"])) or {}
        if (number := found.get("examples", {}).get("test")) is not None:
            return min(number, subset or number), True
    return subset, False


def recorded_spreads(table: Path, metric: str) -> dict[str, float] | None:
    """The mean spreads of the contrasts of an earlier analysis in a metric, those that are known; None if there is none.

    Not the median: that of variances that few seeds show is too small.
    """
    if not table.is_file():
        return None
    rows = looked_into(table, lambda: list(_rows(table, metric))) or []
    values = {name: [float(row[name]) for row in rows if row.get(name)] for name in Spreads._fields}
    if not values["of_questions"]:
        return None
    return {name: fmean(found) for name, found in values.items() if found}


def _rows(table: Path, metric: str) -> Iterator[dict[str, str]]:
    with open(table, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["axis"] == "training" and not row["tasks"] and f"{row['scorer']}/{row['metric']}" == metric:
                yield row


def spreads_of(recorded: Mapping[str, float] | None, limits: Sequence[float] | None, has_seeds: bool) -> tuple[Spreads, str]:
    """The spreads that are counted with, and what they rest on.

    Args:
        recorded: without `of_seeds` if the last analysis had one seed.
        has_seeds: whether there will be several, so that this one counts.
    """
    unit = limits[1] - limits[0] if limits else 1.0
    of = "of the metric's range" if limits else "(its scale is not known)"
    assumed = Spreads((ASSUMED_DEVIATION * unit) ** 2, (ASSUMED_OF_SEEDS * unit) ** 2, 0.0)
    if recorded is None:
        what = f"answers to a question differ by {ASSUMED_DEVIATION} {of}, trainings by {ASSUMED_OF_SEEDS} (standard deviations)"
        return assumed, f"assumed: {what}; after a first analysis, what it found"
    spreads = assumed._replace(**recorded)
    if has_seeds and "of_seeds" not in recorded:
        trainings = f"trainings assumed to differ by {ASSUMED_OF_SEEDS} {of} (standard deviation)"
        return spreads, f"spreads of questions from the last analysis (tables/contrasts.csv); {trainings}"
    return spreads, "spreads of the last analysis (tables/contrasts.csv)"
