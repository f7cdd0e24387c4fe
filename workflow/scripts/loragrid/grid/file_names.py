"""Names of files that a file system cannot hold: one sentence each, before anything is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from loragrid import layout
from loragrid.config.root import Config
from loragrid.grid.jobs.lookups import Wildcards
from loragrid.grid.jobs.wanted import usable_jobs
from loragrid.grid.runs import Grid
from loragrid.layout import Run
from loragrid.runtime.files import partial_name

LONGEST = 255
"""Bytes of a name that the usual file systems hold. Results may be copied to another machine, so that more does not help."""

WRITTEN_AS_FOLDERS = ("import_model", "train", "train_full", "merge")
"""Rules that write the folder of their outputs as a whole."""

LOGS_OF_QUEUES = "_".join
"""How executors of queues make the name of a folder from the values of a job's wildcards."""

_WILDCARD = re.compile(r"\{(\w+)\}")


class _TooLong(NamedTuple):
    """A name that is too long."""

    name: str
    values: Mapping[str, str]
    """The wildcards that are in it."""
    base_model: str
    """Of the job that writes it, if it has one."""


def long_names(grid: Grid, is_handed_on: bool = False) -> Iterator[str]:
    """One sentence for each run, and for each other name of the configuration, that makes a name which no file system holds.

    Args:
        is_handed_on: whether an executor hands jobs on to a queue: its logs have folders with still longer names.
    """
    longest: dict[tuple[str, ...], _TooLong] = {}
    for found in _too_long(usable_jobs(grid), longest_name(), is_handed_on):
        # A run has many files. The longest name says how much has to go.
        run = _run_of(found.values)
        blamed = (found.base_model, run.name) if run else tuple(found.values.values())
        if blamed not in longest or len(found.name) > len(longest[blamed].name):
            longest[blamed] = found
    of_runs = [found for found in longest.values() if _run_of(found.values)]
    for found in (one for one in longest.values() if one not in of_runs):
        yield f"{_key(grid.config, found.values)}: {_sentence(found)}."
    if of_runs:
        worst = max(of_runs, key=lambda found: len(found.name))
        others = f"; so are {len(of_runs) - 1} other runs" if len(of_runs) > 1 else ""
        yield f"grid: run '{worst.values['run']}' of '{worst.base_model}' is too long{others}: {_sentence(worst)}."


@cache
def longest_name() -> int:
    """The longest name that the file system of the results holds, in bytes."""
    try:
        return min(LONGEST, os.pathconf(layout.RESULTS if Path(layout.RESULTS).is_dir() else ".", "PC_NAME_MAX"))
    except (OSError, ValueError, AttributeError):
        return LONGEST


def _too_long(jobs: Mapping[str, Iterable[Wildcards]], limit: int, is_handed_on: bool) -> Iterator[_TooLong]:
    """The names that are longer than the limit, of all files that jobs write, by rule."""
    for rule, of_rule in jobs.items():
        patterns = [(pattern, _WILDCARD.findall(pattern)) for pattern in sorted(_names_of(rule))]
        for job in of_rule:
            for pattern, wildcards in patterns:
                name = pattern.format_map(job)
                if len(name) > limit and len(name.encode()) > limit:
                    yield _TooLong(name, {one: str(job[one]) for one in wildcards}, job.get("base_model", ""))
            if is_handed_on:
                used = {one: str(job[one]) for one in _wildcards_of(rule)}
                name = LOGS_OF_QUEUES(used.values())
                if len(name) > limit:
                    yield _TooLong(name, used, job.get("base_model", ""))


@cache
def _wildcards_of(rule: str) -> tuple[str, ...]:
    """The wildcards of a rule, in the order in which they stand in its first output."""
    first = next(iter(layout.RULES[rule].outputs.values()))
    return tuple(dict.fromkeys(_WILDCARD.findall(first)))


@cache
def _names_of(rule: str) -> frozenset[str]:
    """Patterns of the names of a rule's files and of the folders above them. While a file is written, its name is short."""
    files = layout.RULES[rule]
    names: set[str] = set()
    for path in (*files.outputs.values(), files.log, files.benchmark, *_BESIDE.get(rule, ())):
        *folders, name = path.split("/")
        names |= {*folders, name}
        if path in files.outputs.values() and rule in WRITTEN_AS_FOLDERS:
            names.add(partial_name(folders[-1]))
    return frozenset(name for name in names if _WILDCARD.search(name))


_BESIDE = {
    "check": (layout.FAILED_CHECK,),
    "check_merged": (layout.FAILED_CHECK_MERGED,),
    "train": (layout.TRACKERS,),
    "train_full": (layout.TRACKERS,),
}
"""Files and folders of rules that are no declared outputs."""


def _run_of(values: Mapping[str, str]) -> Run | None:
    return Run.parse(values.get("run", ""))


def _sentence(found: _TooLong) -> str:
    parts = {name: text for name, text in _parts(found.values) if len(text) > 1}
    by_length = sorted(parts, key=lambda name: -len(parts[name]))[:4]
    shorten = ", ".join(f"{name} '{parts[name]}' ({len(parts[name])})" for name in by_length)
    length, limit = len(found.name.encode()), longest_name()
    return (
        f"'{found.name}' has {length} bytes, but a file system holds names of at most {limit}; "
        f"shorten by {length - limit} or more: {shorten}"
    )


_WORDS = {
    "base_model": "model",
    "sample_type": "sample type",
    "evaluation": "human evaluation",
    "run": "external predictions",
}
"""What the value of a wildcard is called, where that is not the wildcard's own name."""


def _parts(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The names of the configuration that are in a name, with what they are."""
    for wildcard, value in values.items():
        if wildcard == "variant":
            yield from zip(("prompting", "prompt variant", "decoding"), value.split("~")[1:], strict=False)
        elif wildcard == "run" and (run := Run.parse(value)):
            yield from (("task", run.task), ("sample type", run.sample_type), ("mix", run.mix), ("config", run.config))
        elif wildcard not in ("kind", "nb_samples", "mix_seed", "of_split"):
            yield _WORDS.get(wildcard, wildcard), value


def _key(config: Config, values: Mapping[str, str]) -> str:
    """The key of the configuration that gives the longest of the names in a name of no run."""
    wildcard = max((one for one in values if one not in ("variant", "of_split")), key=lambda one: len(values[one]))
    name = values[wildcard]
    match wildcard:
        case "sample_type":
            return _first(
                f"tasks.{task}.sample_types.{name}" for task, entry in config.tasks.items() if name in entry.sample_types
            )
        case "annotator":
            of_people = config.human_evaluations.items()
            return _first(f"human_evaluations.{key}.annotators" for key, entry in of_people if name in entry.annotators)
        case "package":
            return f"package {name}"
        case "base_model":
            sections: dict[str, Iterable[str]] = {"encoders": config.encoders, "reward_models": config.reward_models}
            sections["models"] = config.models
            return _first(f"{section}.{name}" for section, entries in sections.items() if name in entries)
    sections_of = {"task": "tasks", "mix": "mixes", "scorer": "scorers", "prompting": "promptings"}
    sections_of |= {"run": "external_predictions", "evaluation": "human_evaluations"}
    return "grid" if name == layout.BASE else f"{sections_of[wildcard]}.{name}"


def _first(keys: Iterable[str]) -> str:
    return next(iter(keys), "grid")
