"""Files that must stay: all that a configuration asks for, can use or names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from loragrid.config.root import Config
from loragrid.layout import DOUBTFUL, PARTIAL, PLAN, PLAN_TABLE, PRUNABLE, PRUNABLE_PATHS, RESULTS, VERIFIED
from loragrid.runtime.files import fingerprint

UNDECLARED_FILES, UNDECLARED_FOLDERS = (PRUNABLE, PRUNABLE_PATHS, PLAN_TABLE, PLAN, DOUBTFUL, VERIFIED), (PARTIAL,)
"""Files that target rules write without declaring them."""


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


def find_in_use(config: Config, made: Iterable[Made]) -> InUse:
    """All that a configuration asks for or can use, with the files that it names itself."""
    files, folders = set(UNDECLARED_FILES), set(UNDECLARED_FOLDERS)
    for rule in made:
        for pattern, _ in (*rule.files, *rule.logs):
            files |= {pattern.format(**job) for job in rule.jobs or ()} if "{" in pattern else {pattern}
        for pattern, _ in rule.folders:
            folders |= {pattern.format(**job) for job in rule.jobs or ()}
    scorers = config.scorers.values()
    return InUse(
        frozenset(files),
        frozenset(folders | set(named_results(config.model_dump()))),
        frozenset(scorer.judgements.stem for scorer in scorers if scorer.judgements),
        frozenset(fingerprint(scorer.decisive_settings()) for scorer in scorers),
        frozenset(scorer.type for scorer in scorers),
    )


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
    """A short hash of all that is of use. If it is the same, a list was made for the same configuration."""
    return fingerprint([sorted(part) for part in in_use])[:12]
