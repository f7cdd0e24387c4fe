"""Which rule made a file that is no longer of use, and which value the configuration lacks for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePosixPath
from typing import Any

from loragrid.errors import UserError
from loragrid.layout import ALL_TRACKERS, FORMER, MANIFEST, Run, experiment_of
from loragrid.planning.pruning.in_use import Made
from loragrid.planning.pruning.listing import Verdict
from loragrid.runtime.manifests import read_json

BY_LIBRARIES = re.compile(
    r"(?:config|generation_config|model|adapter_config|adapter_model|tokenizer|tokenizer_config|special_tokens_map|"
    r"added_tokens|vocab|merges|chat_template|preprocessor_config|spiece|sentencepiece\.bpe|\w+\.sp)"
    r"\.(?:json|jinja|txt|model|safetensors)"
)
"""Names of the files that transformers and peft write into the folder of a model."""


Values = Mapping[str, Collection[str]]
"""The values of wildcards, and of each axis of the runs under `run AXIS`."""


class Origins:
    """Tells which rule made a file.

    A file is the result of a rule only if a job of the rule has left traces: people have files of their own, with any names.
    """

    def __init__(self, made: Iterable[Made], traces: AbstractSet[str]) -> None:
        """Prepare to find origins among the files that rules make.

        Args:
            traces: logs, benchmarks, and the results that Snakemake has records of.
        """
        rules = [rule for rule in made if rule.jobs is not None]
        self._traces = traces
        self._of_grid = values_of(job for rule in rules for job in rule.jobs or ())
        self._of_stage = {rule.stage: values_of(rule.jobs or ()) for rule in rules}
        self._files = [(re.compile(regex), rule) for rule in rules for _, regex in rule.files]
        self._logs = [(re.compile(regex), rule) for rule in rules for _, regex in rule.logs]
        self._folders = [(re.compile(regex), rule) for rule in rules for _, regex in rule.folders]
        self._logged: dict[tuple[str, tuple[str, ...]], set[tuple[str, ...]]] = {}

    def explain(self, path: str) -> Verdict | None:
        """Stage and reason of a file that is not of use; None if no rule made it."""
        for rule, wildcards in _matching(self._logs, path):
            return self._verdict(rule, wildcards)
        for rule, wildcards in _matching(self._files, path):
            if path in self._traces or self._has_traces(rule, wildcards):
                return self._verdict(rule, wildcards)
        for folder in map(PurePosixPath.as_posix, PurePosixPath(path).parents):
            for rule, wildcards in _matching(self._folders, folder):
                if self._has_traces(rule, wildcards) and is_in_folder(folder, path):
                    return self._verdict(rule, wildcards)
        return self._of_earlier_versions(path)

    def _of_earlier_versions(self, path: str) -> Verdict | None:
        """Stage and reason of what a rule made in an earlier version; None if none did."""
        for stage, former in FORMER.items():
            files = former.of_experiment(experiment_of(path))
            if path in files.outputs.values() and not self._traces.isdisjoint((path, files.log, files.benchmark)):
                return Verdict(stage, "made by an earlier version of the workflow")
        return None

    def _verdict(self, rule: Made, wildcards: Mapping[str, str]) -> Verdict:
        name = wildcards.get("experiment")
        if name is not None and name not in self._of_grid.get("experiment", ()):
            return Verdict(rule.stage, f"no configuration whose results stay is named {name}")
        if not rule.jobs and not wildcards:
            return Verdict(rule.stage, "each configuration whose results stay has a name, and a folder of that name")
        # A value that nothing in the grid has says more than a value that only this stage lacks.
        if missing := missing_value(wildcards, self._of_grid):
            return Verdict(rule.stage, f"{missing} is not in the grid")
        if missing := missing_value(wildcards, self._of_stage[rule.stage]):
            return Verdict(rule.stage, f"{missing} is in the grid for other stages only")
        return Verdict(rule.stage, "the grid has no such combination")

    def _has_traces(self, rule: Made, wildcards: Mapping[str, str]) -> bool:
        """Whether a job of the rule with these wildcards has left a log or a benchmark."""
        return any(self._is_left(pattern, regex, wildcards) for pattern, regex in rule.logs)

    def _is_left(self, pattern: str, regex: str, wildcards: Mapping[str, str]) -> bool:
        if set(re.findall(r"\{(\w+)\}", pattern)) <= wildcards.keys():
            return pattern.format(**wildcards) in self._traces
        # The name of a folder may lack wildcards that the names of logs have.
        return tuple(wildcards.values()) in self._logged_values(regex, tuple(wildcards))

    def _logged_values(self, regex: str, names: tuple[str, ...]) -> set[tuple[str, ...]]:
        """The values of some wildcards in all traces of a pattern."""
        if (regex, names) not in self._logged:
            matches = filter(None, map(re.compile(regex).match, self._traces))
            self._logged[regex, names] = {tuple(match[name] for name in names) for match in matches}
        return self._logged[regex, names]


def _matching(patterns: Iterable[tuple[re.Pattern[str], Made]], path: str) -> Iterator[tuple[Made, dict[str, str]]]:
    """The rules that may have made a path, with its wildcards."""
    for pattern, rule in patterns:
        if match := pattern.match(path):
            yield rule, match.groupdict()


def is_in_folder(folder: str, path: str) -> bool:
    """Whether a job, and not a person, put a file into a folder that the job fills."""
    name = path.removeprefix(f"{folder}/")
    if folder.startswith(f"{ALL_TRACKERS}/") or BY_LIBRARIES.fullmatch(name):
        return True
    try:
        return name in read_json(Path(folder, MANIFEST), ["files"])["files"]
    except (OSError, UserError, TypeError):
        return False


def values_of(jobs: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The values of each wildcard in the jobs that are of use, and of each axis in the names of their runs."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for name, value in job.items():
            values.setdefault(name, set()).add(str(value))
    for run in values.get("run", ()):
        for axis, value in axes_of(run).items():
            values.setdefault(f"run {axis}", set()).add(value)
    return values


def axes_of(name: str) -> dict[str, str]:
    """The axes in a run's name; none for the name of something else."""
    run = Run.parse(name)
    return {} if run is None else {axis: str(value) for axis, value in run._asdict().items() if axis != "base_model"}


def missing_value(wildcards: Mapping[str, str], in_use: Values) -> str | None:
    """The value in a path that no job of use has, if any, after the name of its axis or wildcard."""
    for name, value in wildcards.items():
        axes = axes_of(value) if name == "run" else {}
        for axis, part in axes.items():
            if part not in in_use.get(f"run {axis}", [part]):
                return f"{axis} {part}"
        if not axes and value not in in_use.get(name, [value]):
            return f"{name} {value}"
    return None
