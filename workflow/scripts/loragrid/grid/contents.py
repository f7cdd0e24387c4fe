"""What files hold that cannot be right, as far as it can be seen before any job runs: one sentence each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from loragrid import layout
from loragrid.data.sources import BuiltSource
from loragrid.grid.feasibility import is_prepared_as_configured
from loragrid.grid.jobs.wanted import scorers_of
from loragrid.grid.runs import Grid
from loragrid.layout import BASE, Dataset, Evaluation
from loragrid.records import Example, iterate_records
from loragrid.runtime.user_code import problem_of_function
from loragrid.scoring.references import problems_of_references


def wrong_contents(grid: Grid) -> Iterator[str]:
    """One sentence for each problem in files that are there: functions, filled sheets, references of prepared data."""
    config = grid.config
    for name, scorer in config.scorers.items():
        yield from (f"scorers.{name}.{problem}" for problem in scorer.problems_in_files(config))
    for name, source in config.sources.items():
        if isinstance(source, BuiltSource) and (problem := problem_of_function(source.builder, ["files", *source.arguments])):
            yield f"sources.{name}.builder: {problem}"
    for (dataset, split), scorers in _to_score(grid).items() if not grid.is_stored else ():
        yield from _wrong_references(grid, dataset, split, scorers)


def _to_score(grid: Grid) -> dict[tuple[Dataset, str], set[str]]:
    """The scorers that look for something in references, by data set and split, where scores are missing. Finished ones stay."""
    looking = {name for name, scorer in grid.config.scorers.items() if scorer.reference_check() is not None}
    found: dict[tuple[Dataset, str], set[str]] = {}
    for evaluation in (*grid.asked, *grid.external, *grid.trivial) if looking else ():
        of_data = found.setdefault((evaluation.dataset, evaluation.split), set())
        for name in looking.intersection(scorers_of(grid, evaluation)) - of_data:
            if not Path(layout.SCORE.path("scores", evaluation.wildcards | {"scorer": name})).exists():
                of_data.add(name)
    return found


def _wrong_references(grid: Grid, dataset: Dataset, split: str, names: set[str]) -> Iterator[str]:
    """One sentence for each of the scorers with which no answer to some examples of a prepared split could be right."""
    task = grid.config.tasks[dataset.task]
    scorers = {name: grid.config.scorers[name] for name in task.scorers if name in names}
    asked = Evaluation(BASE, *dataset, BASE, split=split)
    path = Path(asked.asked_file)
    if not scorers or not _is_current(grid, dataset, path):
        return
    examples = list(iterate_records(path, Example))
    places = {example.id: f"{path.as_posix()}, line {i}" for i, example in enumerate(examples, start=1)}
    yield from problems_of_references(scorers, grid.config.subset_of(asked), examples, places)


def _is_current(grid: Grid, dataset: Dataset, test: Path) -> bool:
    """Whether a test or validation set is there that is not going to be prepared again, after the data were mended."""
    manifest = Path(layout.PREPARE_DATASET.path("manifest", dataset.wildcards))
    try:
        made = test.stat().st_mtime
        told = json.loads(manifest.read_text(encoding="utf-8"))
        sources = grid.config.source_of(*dataset).local_files().values()
        is_newer = all(Path(path).stat().st_mtime <= made for path in sources)
    except (OSError, ValueError):
        return False
    return is_newer and is_prepared_as_configured(grid.config, dataset, told)
