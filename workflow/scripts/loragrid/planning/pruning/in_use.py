"""Files that must stay: all that the kept configurations ask for, can use or name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from loragrid.config.root import Config
from loragrid.layout import RESULTS
from loragrid.planning.pruning.kept import Kept, jobs_of
from loragrid.planning.settings import RuleFiles
from loragrid.runtime.files import fingerprint


class Made(NamedTuple):
    """The files that a rule makes: patterns with `{wildcards}`, and regular expressions that match the same paths."""

    stage: str
    """Name of the rule."""
    files: Sequence[tuple[str, str]]
    folders: Sequence[tuple[str, str]]
    """Folders that its jobs fill with more files than their outputs."""
    logs: Sequence[tuple[str, str]]
    """Logs and benchmarks, which every one of its jobs leaves."""
    jobs: Sequence[Mapping[str, Any]] | None
    """Wildcards of the jobs with results that are of use; None: all results of the rule are."""


class InUse(NamedTuple):
    """All that must stay."""

    files: frozenset[str]
    folders: frozenset[str]
    """Folders that stay with everything inside them."""
    judges: frozenset[str]
    """Names of the journals of judgements."""
    scorers: frozenset[str]
    """Fingerprints of the settings of scorers."""
    scorer_types: frozenset[str]


def made_for(kept: Sequence[Kept], rules: Iterable[RuleFiles]) -> list[Made]:
    """What rules make, with the jobs whose results configurations can use."""
    return [Made(rule.stage, rule.files, rule.folders, rule.logs, jobs_of(kept, rule.jobs_of, rule.is_named)) for rule in rules]


def find_in_use(kept: Sequence[Kept], made: Iterable[Made]) -> InUse:
    """All that configurations ask for or can use, with the files that they name themselves."""
    files, folders = set[str](), set[str]()
    for rule in made:
        for pattern, _ in (*rule.files, *rule.logs):
            # A file without wildcards is of its rule's only job.
            jobs = ([] if "{" in pattern else [{}]) if rule.jobs is None else rule.jobs
            files |= {pattern.format(**job) for job in jobs}
        for pattern, _ in rule.folders:
            folders |= {pattern.format(**job) for job in rule.jobs or ()}
    return InUse(
        frozenset(files),
        frozenset(folders.union(*(named_results(_values(one.config)) for one in kept))),
        frozenset(judge for one in kept for judge in one.judges),
        frozenset(scorer for one in kept for scorer in one.scorers),
        frozenset(scorer.type for one in kept for scorer in one.config.scorers.values()),
    )


def _values(config: Config) -> list[dict[str, Any]]:
    """All values of a configuration, those of every setting of a sweep among them."""
    return [config.model_dump(), *(training.model_dump() for training in config.trainings.values())]


def named_results(value: Any) -> Iterator[str]:
    """The files and folders under `results/` that a configuration names.

    Examples are an adapter that is trained further, or a data source that is made from other results.
    """
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, str):
        yield from _result_named_by(value)
    elif isinstance(value, Iterable):
        for part in value:
            yield from named_results(part)


def _result_named_by(text: str) -> Iterator[str]:
    if "\0" in text:
        return
    # A function is named as `file.py:name`.
    for path in {text, text.rpartition(":")[0]}:
        # Through a link, such as a linked home folder, the path may look like a place elsewhere.
        real = os.path.relpath(os.path.realpath(path), os.path.realpath(RESULTS))
        for place in {os.path.relpath(path or "."), os.path.normpath(f"{RESULTS}/{real}")}:
            if place.startswith(f"{RESULTS}{os.sep}"):
                yield PurePosixPath(place).as_posix()


def configuration_of(in_use: InUse) -> str:
    """A short hash of all that is of use. If it is the same, a list was made for the same configurations."""
    return fingerprint([sorted(part) for part in in_use])[:12]
