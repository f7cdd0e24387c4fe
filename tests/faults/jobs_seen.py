"""Jobs as the spy tells of them, and what they did."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

Line = dict[str, Any]


@dataclass
class Job:
    """A job's process."""

    pid: int
    rule: str
    log: str
    process: psutil.Process | None
    events: int = 0
    """Lines about what it computed."""
    works: list[str] = field(default_factory=list)
    """What it computed for, in order."""
    faults: list[str] = field(default_factory=list)
    """What happened to it."""

    def is_alive(self) -> bool:
        """Whether it still runs."""
        try:
            return self.process is not None and self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class Spied:
    """The lines of the spy's file, read as they come."""

    def __init__(self, file: Path) -> None:
        self.file, self._read = file, 0
        self.lines: list[Line] = []
        self.jobs: list[Job] = []
        self._by_pid: dict[int, Job] = {}

    def news(self) -> Iterator[tuple[Job, Line]]:
        """New lines, each with its job."""
        if not self.file.exists():
            return
        with self.file.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
        self._read += len(whole) + 1 if whole else 0
        for line in map(json.loads, whole.splitlines()):
            self.lines.append(line)
            if line["event"] == "started":
                self._by_pid[line["pid"]] = Job(line["pid"], line["rule"], line["log"], running(line["pid"]))
                self.jobs.append(self._by_pid[line["pid"]])
            job = self._by_pid[line["pid"]]
            if "work" in line:
                job.events += 1
                if line["work"] not in job.works:
                    job.works.append(line["work"])
            yield job, line

    def alive(self) -> list[Job]:
        """Jobs that still run."""
        return [job for job in self.jobs if job.is_alive()]


def running(pid: int) -> psutil.Process | None:
    """A process; None if it has ended."""
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def done_twice(lines: list[Line]) -> list[str]:
    """What was computed again although it had been kept: a sentence for each."""
    found, saved, trained, answered = [], Counter[str](), set[str](), set[tuple[str, str]]()
    for line in lines:
        event, work = line["event"], line.get("work", "")
        if event == "step" and (work in trained or line["step"] <= saved[work]):
            found.append(f"training {work}: step {line['step']} was computed again (process {line['pid']})")
        elif event == "saved":
            saved[work] = max(saved[work], line["step"])
        elif event == "trained":
            found += [f"training {work}: finished twice ({line['result']})"] if work in trained else []
            trained.add(work)
        elif event == "answered":
            again = [key for key in line["keys"] if (work, key) in answered]
            found += [f"prediction {work}: {len(again)} answers were computed again (process {line['pid']})"] if again else []
            answered |= {(work, key) for key in line["keys"]}
    return found


def how_often(lines: list[Line]) -> dict[str, int]:
    """What was computed: steps, adapters, answers, values, checks; and how many checks were made more than once."""
    counts = Counter[str]()
    checks = Counter(line["work"] for line in lines if line["event"] == "checked")
    for line in lines:
        if line["event"] != "started":
            counts[line["event"]] += len(line.get("keys", [None]))
    return {**counts, "checked again": sum(checks.values()) - len(checks)}
