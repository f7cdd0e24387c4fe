"""Which jobs a grid has, and which of them Snakemake would run."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import yaml

from loragrid.errors import UserError
from loragrid.planning.settings import PlanSettings


class Job(NamedTuple):
    """One job of the grid."""

    rule: str
    wildcards: Mapping[str, str]
    to_do: bool


def planned_jobs(config: Mapping[str, Any], settings: PlanSettings) -> list[Job]:
    """All jobs of the whole grid, and whether Snakemake would run them now. Nothing is computed.

    Args:
        config: the configuration from all files and arguments together.

    Raises:
        UserError: with Snakemake's message, if Snakemake cannot plan.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(_plain(config), file, sort_keys=False)
        file.flush()
        command = [sys.executable, "-m", "snakemake", "--summary", "--nolock", "--cores", "1", "--snakefile", settings.snakefile]
        command += ["--configfile", file.name, "--replace-workflow-config", "--rerun-triggers", *settings.rerun_triggers]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise UserError(f"Snakemake cannot plan the grid:\n{finished.stderr.strip()}")
    return read_summary(finished.stdout.splitlines(), {name: rule.pattern for name, rule in settings.rules.items()})


def _plain(value: Any) -> Any:
    """The same value in YAML's types."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def read_summary(lines: Iterable[str], patterns: Mapping[str, str]) -> list[Job]:
    """The jobs in what `snakemake --summary` prints.

    Snakemake prints a row for each output file, with the rule in the third column and the plan in the last.

    Args:
        patterns: regular expressions of the first output of each rule, by which each job counts once.
    """
    compiled = {rule: re.compile(pattern) for rule, pattern in patterns.items()}
    jobs = []
    for line in lines:
        cells = line.split("\t")
        if len(cells) < 6 or cells[2] not in compiled:
            continue
        if match := compiled[cells[2]].match(cells[0]):
            jobs.append(Job(cells[2], match.groupdict(), cells[-1] == "update pending"))
    return jobs
