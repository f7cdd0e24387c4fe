"""The plan of a grid: which jobs there are, by Snakemake's own word, and the plan as text and table."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from loragrid.errors import UserError
from loragrid.planning.estimates import FLOPS, GPU_FLOPS, Machine, Plan, Row, summed
from loragrid.planning.workload import Job
from loragrid.runtime.files import written_whole
from loragrid.runtime.gpu_leases import local_gpus

HEADINGS = ("jobs", "done", "to do", "tokens", "new", "time", "GB peak", "asked", "rests on")


def planned_jobs(
    config: Mapping[str, Any], snakefile: str, rerun_triggers: Sequence[str], rules: Mapping[str, Mapping[str, Any]]
) -> list[Job]:
    """All jobs of the whole grid, and whether Snakemake would run them now. Nothing is computed.

    Args:
        config: as all configuration files and arguments together give it.
        rules: the `pattern` (a regular expression) of the first output of each rule.

    Raises:
        UserError: with what Snakemake says, where it cannot plan.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(_plain(config), file, sort_keys=False)
        file.flush()
        command = [sys.executable, "-m", "snakemake", "--summary", "--nolock", "--cores", "1", "--snakefile", snakefile]
        command += ["--configfile", file.name, "--replace-workflow-config", "--rerun-triggers", *rerun_triggers]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        raise UserError(f"Snakemake cannot plan the grid:\n{found.stderr.strip()}")
    return read_summary(found.stdout.splitlines(), {rule: one["pattern"] for rule, one in rules.items()})


def _plain(value: Any) -> Any:
    """The same value in the types that YAML knows."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def read_summary(lines: Iterable[str], patterns: Mapping[str, str]) -> list[Job]:
    """The jobs in what `snakemake --summary` prints: a row for each output file, with the rule in the third column and the plan in the last.

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


def gpus_here(limit: int | None) -> int:
    """How many jobs of this machine can have a GPU at a time: as many as `--resources gpu=N` says, else as there are GPUs that are leased."""
    return len(local_gpus()) if limit is None else limit


def write_plan(plan: Plan, text: str, results: Path) -> None:
    """Write `plan.csv`, with a row for each rule and base model, and the text beside it."""
    with written_whole(results / "plan.csv") as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in plan.rows:
            writer.writerow([round(value, 6) if isinstance(value, float) else value for value in row])
    with written_whole(results / "plan.txt") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def describe(
    plan: Plan, basis: Mapping[str, Iterable[str]], parameters: Mapping[str, tuple[float, str]], machine: Machine
) -> str:
    """The plan as text, at most 100 characters wide.

    Args:
        basis: data sets by what their tokens were counted from.
        parameters: of each base model, with what they are known from.
    """
    whole = summed(plan.rows, "total")
    by_rule = [
        summed((row for row in plan.rows if row.rule == rule), rule) for rule in dict.fromkeys(row.rule for row in plan.rows)
    ]
    by_model = [
        summed((row for row in plan.rows if row.base_model == name), base_model=name)
        for name in parameters
        if any(row.base_model == name for row in plan.rows)
    ]
    lines = [f"{whole.jobs:,} jobs in the grid: {whole.done:,} are done and up to date, {whole.to_do:,} are to do.", ""]
    lines += _table("rule", [(row.rule, row) for row in [*by_rule, whole]])
    if by_model:
        lines += ["", *_table("base model", [(row.base_model, row) for row in by_model])]
    lines += ["", "new: tokens of answers, learnt or generated; GB: highest that is recorded, and what a job asks for."]
    if whole.to_do:
        on_gpus = f" and {machine.gpus} GPU{'s' * (machine.gpus != 1)}" if machine.gpus else ""
        lines.append(f"Together {duration(whole.hours * 3600)} of computing;")
        lines[-1] += f" with {machine.at_once} at a time{on_gpus} about {duration(plan.wall_s)} on the clock."
    lines += _costs(plan.rows)
    return "\n".join([*lines, *_grounds(plan.rows, basis, parameters)])


def _table(heading: str, named: Sequence[tuple[str, Row]]) -> list[str]:
    cells: list[tuple[str, ...]] = [(heading, *HEADINGS)]
    for name, row in named:
        peak, asked = (gigabytes(value) if value else "-" for value in (row.peak_mb, row.mem_mb))
        memory = (peak, asked) if name != "total" else ("", "")
        counts = [amount(value) if value else "-" for value in (row.tokens, row.new_tokens)]
        rests = row.basis
        if row.basis == "recorded":
            rests = f"{row.records:,} job{'s' * (row.records != 1)}"
        elif row.hours_recorded:
            rests = f"{row.hours_recorded / row.hours:.0%} recorded"
        time = duration(row.hours * 3600) if row.to_do else "-"
        cells.append((name, f"{row.jobs:,}", f"{row.done:,}", f"{row.to_do:,}", *counts, time, *memory, rests))
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if i in (0, last) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _costs(rows: Iterable[Row]) -> list[str]:
    rows = list(rows)
    judged, asked = [row for row in rows if row.requests], [row for row in rows if row.cost and not row.requests]
    lines = []
    if judged:
        one = summed(judged)
        price = f", {one.cost:,.2f} by their price" if one.cost else ""
        lines.append(f"Judges: at most {one.requests:,.0f} requests with {amount(one.tokens)} tokens{price}.")
    if asked:
        lines.append(f"Base models: {summed(asked).cost:,.2f} by their price.")
    return lines


def _grounds(rows: Iterable[Row], basis: Mapping[str, Iterable[str]], parameters: Mapping[str, tuple[float, str]]) -> list[str]:
    """What the estimate rests on."""
    to_do = [row for row in rows if row.to_do]
    if not to_do:
        return []
    said = {
        "tokens": "counted",
        "characters": "a fourth of the characters; they are not tokenised yet",
        "guess": "a first guess; they are not prepared yet",
    }
    lines = ["", "What this rests on:"]
    for name, text in said.items():
        if names := list(basis.get(name, ())):
            lines.append(f"  tokens of {len(names)} data set{'s' * (len(names) != 1)}: {text}")
    if any(row.basis == "recorded" for row in to_do):
        lines.append("  times: recorded jobs of the same kind, where there are some (results/benchmarks)")
    if any(row.basis == "other model" for row in to_do):
        lines.append("  times of a base model without recorded jobs: those of others, in proportion to parameters")
    if guessed := [row for row in to_do if row.basis == "first guess"]:
        lines.append("  first guess: can be wrong by a factor of ten; run a few jobs, then plan again")
        if any(row.tokens and not row.requests for row in guessed):
            speeds = f"{FLOPS / 1e9:,.0f} GFLOP/s a thread, {GPU_FLOPS / 1e9:,.0f} a GPU"
            lines.append(f"  guessed training and prediction: parameters x tokens at {speeds}")
    for name in (name for name in parameters if any(row.base_model == name and row.basis != "recorded" for row in to_do)):
        size, source = parameters[name]
        known = "unknown, taken as " if source == "guess" else ""
        lines.append(f"  parameters of {name}: {known}{amount(size)}{'' if known else f' (from its {source})'}")
    return lines


def amount(number: float) -> str:
    """A count in three digits: thousands (k), millions (M), milliards (G) or more (T)."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            value = number / size
            return f"{value:.2f}{unit}" if value < 9.995 else f"{value:.1f}{unit}" if value < 99.95 else f"{value:,.0f}{unit}"
    return f"{number:.0f}"


def gigabytes(megabytes: float) -> str:
    """Memory in GB."""
    return f"{megabytes / 1000:,.1f}" if megabytes >= 50 else "<0.1"


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, in two digits or more."""
    for least, size, unit in ((3 * 86400, 86400, "d"), (3600, 3600, "h"), (59.5, 60, "min")):
        if seconds >= least:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:,.0f} {unit}"
    return f"{seconds:.0f} s"
