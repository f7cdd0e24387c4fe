"""What the screen shows of a run: why jobs run, which job starts, and the one sentence of a job that fails."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from textwrap import dedent, fill

from loragrid.errors import printable

SHOWN_BY_MAIN = "LORAGRID_SHOWS_ERRORS"
"""The environment variable that is set where the main process shows the sentences of failed jobs, so that jobs do not."""

SHOWS_JOBS = "LORAGRID_SHOWS_JOBS"
"""The environment variable that is set where the screen shows each job that starts."""

ERROR = "error: "
"""How the last words in the log of a failed job begin."""

REASONS = {
    "forced": "forced",
    "neither input nor output": "always runs",
    "run or shell but no output": "always runs",
    "incomplete output files": "output incomplete",
    "params have changed since last execution": "settings or version changed",
    "code has changed since last execution": "code changed",
    "software environment definition has changed since last execution": "software environment changed",
    "set of input files has changed since last execution": "other input files than last time",
    "updated input files": "updated input files",
    "output files have to be generated": "output missing",
    "input files updated by another job": "after another job of this list",
}
"""What Snakemake's reasons mean. The first that a job has counts: what is behind it only follows."""

_TAIL = 1 << 16
"""How many bytes of a log are searched for its last words."""


def main_reason(reasons: Iterable[str]) -> str:
    """The reason that counts, of all that Snakemake has for a job."""
    found = set(reasons)
    return next((words for name, words in REASONS.items() if name in found), ", ".join(sorted(found)) or "needed by another job")


def why(reasons: Iterable[tuple[str, str]]) -> str:
    """How many jobs of which rules run for which reason.

    Args:
        reasons: the rule of each job, and the reason that counts.
    """
    rules: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for rule, reason in reasons:
        rules[reason][rule] += 1
    order = [*dict.fromkeys(REASONS.values()), *sorted(rules)]
    lines = (
        f"{reason}: {', '.join(f'{rule} {count}' for rule, count in rules[reason].most_common())}"
        for reason in dict.fromkeys(order)
        if reason in rules
    )
    return "\n".join(["Why:", *(fill(line, 110, initial_indent="  ", subsequent_indent="    ") for line in lines)])


COMPUTING = {"import_model", "train", "train_full", "predict", "measure_likelihoods"}
"""Rules whose jobs cost much."""


def about_copies(reasons: Iterable[tuple[str, str]], touch: str) -> str:
    """What to do if costly jobs would run only because copied files have new times; empty if none would.

    Args:
        reasons: as for `why`.
        touch: the command that takes results for up to date.
    """
    if not any(rule in COMPUTING and reason == REASONS["updated input files"] for rule, reason in reasons):
        return ""
    line = (
        "Updated input files are newer than what was made of them. If they were only copied, so that nothing but their times has "
        "changed, this takes the results for up to date, and runs nothing (docs/how-to/when-something-fails.md):"
    )
    return f"\n{fill(line, 110)}\n  {touch}"


def last_words(log: str | Path, since: float = 0) -> str | None:
    """The sentence with which a job ended in its log.

    Args:
        since: time of the job's start; an older log is of another job.

    Returns:
        None if the job said nothing.
    """
    try:
        if Path(log).stat().st_mtime < since:
            return None
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode("utf-8", "replace").rstrip("\n").split("\n")
    except OSError:
        return None
    place = next((place for place in reversed(range(len(lines))) if lines[place].startswith(ERROR)), None)
    return None if place is None else "\n".join(lines[place:]).removeprefix(ERROR)


_ENDED = re.compile(r"died with <Signals\.(\w+): \d+>|returned non-zero exit status (\d+)")


def end_of(error: str) -> str | None:
    """How a process ended, from the text of Python's error about it."""
    found = _ENDED.search(error)
    if found is None:
        return None
    return f"It was killed by {found[1]}." if found[1] else f"It ended with exit status {found[2]}, without a sentence."


REFUSAL = "Refusal"
"""The name of the exception whose message is one sentence for the user. Snakemake prints the name before the message."""

_REFUSED = re.compile(rf"^ *{REFUSAL}(?: in rule [^\n]*)?:\n(.*?)(?:\nWildcards:\n.*)?\Z", re.MULTILINE | re.DOTALL)


def refused(error: str) -> str | None:
    """The sentence in what Snakemake prints of a refusal, without rules, wildcards and lines of code around it."""
    found = _REFUSED.search(error)
    return printable(dedent(found[1]).strip()) if found else None


def failure(job: str, sentence: str, logs: Sequence[str]) -> str:
    """A failed job in a few lines: what it was, its sentence, where more stands."""
    more = f"\n  (log: {', '.join(logs)})" if logs else ""
    return f"Failed: {job}\n  {printable(sentence).replace(chr(10), chr(10) + '  ')}{more}"


LOOKING = {"plan", "partial_report", "summary", "verify", "doubtful", "prunable", "prune", "new"}
"""Rules about results or experiments, which make none of the grid's files."""


def outcome(failed: int, waiting: int, total: int, report: str, rules: Collection[str] = ()) -> str:
    """What became of a run with failed jobs.

    Args:
        failed: jobs that failed.
        waiting: jobs that were not tried.
        report: the command that shows what is there and what is missing.
        rules: of the failed jobs. If all are about the results, the report would say nothing about the failure.
    """
    others = f", {waiting} {'were' if waiting > 1 else 'was'} not tried" if waiting else ""
    more = "" if rules and LOOKING.issuperset(rules) else f" This shows what is there, what is missing and why: {report}"
    return f"{failed} of {total} jobs failed{others}.{more}"
