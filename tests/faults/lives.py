"""The life of a project that is disturbed until it has had enough, and then comes to its end."""

import csv
import math
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, NamedTuple

import psutil

from faults.jobs_seen import Job, Spied, done_twice, how_often
from faults.volumes import Volume
from forked import Run
from loragrid.runtime.locks import is_held
from projects import Project
from same_results import comparable, differences

PATIENCE_S = 300
"""More than any run takes on a busy machine: after it, something waits for ever."""
OUT_OF_MEMORY_S = 10
"""A process that gets no more memory lives no longer than this."""
ENDINGS = 4
"""Undisturbed runs in which everything has to be done: what a first one meets may still be at work."""
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
MEBIBYTE = 2**20


class Mark(NamedTuple):
    """What is going to happen to a job."""

    kind: str
    at: float
    """By the monotonic clock."""
    events: int
    """After so many lines of the spy about what it computes; 0: they do not matter."""


class Life:
    """A project, from nothing to its report."""

    def __init__(self, folder: Path, make: Callable[[Path], Project], chance: Random, killed: Mapping[str, int]) -> None:
        """Make the project.

        Args:
            killed: how often jobs of each rule were killed in other lives.
        """
        self.folder, self.chance = folder, chance
        folder.mkdir()
        self.project = make(folder / "project")
        self.results = self.project.folder / "results"
        self.spied = Spied(folder / "spied")
        self.project.environment = {"FAULT_SPY": str(self.spied.file)}
        self.project.arguments = ("--set-resources", "train:checkpoint_minutes=0", "--retries", "0")
        watch(self.project)
        self.killed = Counter(killed)
        self.kills: list[dict[str, Any]] = []
        self.wrong: list[str] = []
        self.runs = 0
        self.seconds: dict[str, list[float]] = {}
        """How long jobs of each rule ran."""
        self._marks: dict[int, Mark] = {}
        self._drawn: dict[int, int] = {}
        self._since: dict[int, float] = {}
        self._ends: dict[int, float] = {}
        """When processes are killed that got no more memory."""
        self._watched: list[Job] = []
        self.volume: Volume | None = None

    def __enter__(self) -> "Life":
        try:
            self.volume = Volume(self.folder, self.results)
        except OSError as error:
            print(f"no full disk and no read-only folder: {error}", flush=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for job in self.spied.alive():
            kill(job.pid, signal.SIGKILL)
        if self.volume:
            if kind or self.wrong:
                shutil.copytree(self.results, self.folder / "results", symlinks=True)
            self.volume.close()

    def disturb(self, kills: int, tell: Callable[[str], None]) -> None:
        """Run Snakemake again and again, and kill what runs, until there were so many kills or nothing is left to do."""
        wanted = len(self.kills) + kills
        while len(self.kills) < wanted:
            before = len(self.kills)
            is_done = self._run(wanted, tell)
            if is_done and len(self.kills) == before:
                return

    def _run(self, wanted: int, tell: Callable[[str], None]) -> bool:
        """Run Snakemake once, or two at the same time. Returns whether all has been done."""
        self.runs += 1
        twice = self.chance.random() < 0.15
        snakemakes = [self.project.started(*(["--nolock"] if twice else [])) for _ in range(2 if twice else 1)]
        main_fault = self._draw_main_fault()
        until = time.monotonic() + PATIENCE_S
        while any(run.is_running() for run in snakemakes):
            self._look()
            if len(self.kills) < wanted:
                self._strike(tell)
            if len(self.kills) < wanted and main_fault and time.monotonic() > main_fault.at:
                self._strike_main(main_fault.kind, snakemakes, tell)
                main_fault = None
            if time.monotonic() > until:
                self.wrong.append(f"run {self.runs} did not end; waiting: {[(job.rule, job.log) for job in self.spied.alive()]}")
                for run in snakemakes:
                    run.kill()
            time.sleep(0.004)
        ended = [run.result() for run in snakemakes]
        (self.folder / f"run{self.runs}.log").write_text("\n".join(one.stdout + one.stderr for one in ended))
        if (
            any("--unlock" in one.stderr or one.returncode not in (0, 1) for one in ended)
            or (self.project.folder / ".snakemake/locks").exists()
        ):
            self.project.snakemake("--unlock", check=False)
        return all(one.returncode == 0 for one in ended)

    def _draw_main_fault(self) -> Mark | None:
        """What is going to happen to Snakemake itself, or to the disk, in this run."""
        kinds = ["main kill", "main term", "main int", "ctrl-c", "power cut"]
        kinds += ["full disk", "read-only folder"] if self.volume else []
        if self.chance.random() > 0.6:
            return None
        return Mark(self.chance.choice(kinds), time.monotonic() + self.chance.uniform(0.5, 14), 0)

    def _look(self) -> None:
        """Take in what the spy has noted; now and then decide that something is going to happen to a job."""
        now = time.monotonic()
        for job, line in self.spied.news():
            if line["event"] == "started":
                self._since[job.pid] = now
                self._watched.append(job)
            # A process that works for another job now is as good as a new one.
            if self._drawn.get(job.pid, -1) < len(job.works):
                self._drawn[job.pid] = len(job.works)
                self._draw(job, now)
        for job in [job for job in self._watched if now > self._ends.get(job.pid, math.inf)]:
            # Libraries may wait for ever for what they had no memory for. A system without memory would kill the process.
            kill(job.pid, signal.SIGKILL)
        for job in [job for job in self._watched if not job.is_alive()]:
            self._watched.remove(job)
            self._marks.pop(job.pid, None)
            self.seconds.setdefault(job.rule, []).append(now - self._since[job.pid])
            if "memory" in job.faults and self._end_of(job) == "failed":
                self._count("memory", job)

    def _draw(self, job: Job, now: float) -> None:
        rare = self.killed[job.rule] < 3
        if self.chance.random() > (0.8 if rare else 0.35):
            return
        kind = self.chance.choices([*SIGNALS, "memory"], [9, 4, 3, 3])[0]
        usual = self.seconds.get(job.rule, [0.5])
        delay = self.chance.uniform(0, 1.1 * sum(usual) / len(usual))
        computes = job.rule in ("train", "check", "predict")
        events = job.events + self.chance.randint(1, 6) if computes and self.chance.random() < 0.5 else 0
        self._marks[job.pid] = Mark(kind, now + (0 if events else delay), events)

    def _strike(self, tell: Callable[[str], None]) -> None:
        """Do to jobs what is due."""
        for job in self._watched:
            mark = self._marks.get(job.pid)
            if mark is None or time.monotonic() < mark.at or job.events < mark.events or not job.is_alive():
                continue
            del self._marks[job.pid]
            job.faults.append(mark.kind)
            try:
                if mark.kind == "memory":
                    limit_memory(job, self.chance.randint(0, 24) * MEBIBYTE)
                    self._ends[job.pid] = time.monotonic() + OUT_OF_MEMORY_S
                else:
                    os.kill(job.pid, SIGNALS[mark.kind])
                    self._count(mark.kind, job)
            except (ProcessLookupError, psutil.Error):
                continue
            tell(f"run {self.runs}: {mark.kind}: {job.rule}, {job.log}, {job.works}")

    def _count(self, kind: str, job: Job) -> None:
        own = Path(job.log).stem
        self.killed[job.rule] += 1
        self.kills.append({"kind": kind, "stage": job.rule, "for_others": len(job.works) > 1, "own": own})

    def _strike_main(self, kind: str, snakemakes: list[Run], tell: Callable[[str], None]) -> None:
        pids = [run.process.pid for run in snakemakes if run.is_running()]
        jobs = self.spied.alive()
        if kind in ("full disk", "read-only folder"):
            if not self._hinder(kind):
                return
        elif pids:
            number = {"main term": signal.SIGTERM, "main int": signal.SIGINT, "ctrl-c": signal.SIGINT}.get(kind, signal.SIGKILL)
            struck = [*pids, *(job.pid for job in jobs)] if kind in ("ctrl-c", "power cut") else pids[:1]
            for pid in struck:
                kill(pid, number)
        for job in jobs:
            job.faults.append(kind)
        self.kills.append({"kind": kind, "stage": "snakemake", "for_others": any(len(job.works) > 1 for job in jobs)})
        tell(f"run {self.runs}: {kind}: {[job.rule for job in jobs]}")

    def _hinder(self, kind: str) -> bool:
        """Fill the disk, or forbid writing, for a while."""
        assert self.volume
        seconds = self.chance.uniform(0.3, 2.5)
        if kind == "full disk":
            self.volume.fill()
            time.sleep(seconds)
            self.volume.free()
        else:
            if not self.volume.forbid_writing():
                return False
            time.sleep(seconds)
            self.volume.allow_writing()
        return True

    def _end_of(self, job: Job) -> str:
        """How a job that has ended says that it ended."""
        try:
            lines = (self.project.folder / job.log).read_text(errors="replace").splitlines()
        except OSError:
            return "removed"
        return "done" if any("done after" in line for line in lines[-3:]) else "failed"

    def come_to_its_end(self, expected: Mapping[str, str]) -> None:
        """Run Snakemake undisturbed until nothing is left to do, and look at what has come of it."""
        self._marks.clear()
        for _ in range(ENDINGS):
            self.runs += 1
            run = self.project.started()
            until = time.monotonic() + PATIENCE_S
            while run.is_running() and time.monotonic() < until:
                self._look()
                self._marks.clear()
                time.sleep(0.01)
            if run.is_running():
                self.wrong.append(
                    f"an undisturbed run did not end; waiting: {[(job.rule, job.log) for job in self.spied.alive()]}"
                )
                run.kill()
                return
            ended = run.result()
            (self.folder / f"run{self.runs}.log").write_text(ended.stdout + ended.stderr)
            if ended.returncode == 0 and "Nothing to be done" in ended.stderr:
                break
        else:
            self.wrong.append(f"{ENDINGS} undisturbed runs did not suffice: {ended.stderr[-2000:]}")
            return
        self._look()
        self.wrong += differences(comparable(self.results), expected)
        self.wrong += done_twice(self.spied.lines)
        self.wrong += [f"still runs: {job.rule}, {job.log}" for job in self.spied.alive()]
        self.wrong += self._left_behind()

    def _left_behind(self) -> list[str]:
        """What is left of unfinished work and is neither removed nor known to `prunable`."""
        said = self.project.snakemake("prunable", "--cores", "1")
        with open(self.results / "prunable.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        known = {row["path"] for row in rows if row["stage"] != "unknown"}
        left = [
            path
            for part in ("training", "predictions", "ahead", "locks")
            for path in (self.results / ".state" / part).rglob("*")
            if path.is_file()
        ]
        left += [path for path in self.results.rglob("*") if path.name.endswith((".partial", ".damaged"))]
        found = [
            f"left behind: {path}"
            for path in self._named(left)
            if not any(path == one or path.startswith(f"{one}/") for one in known)
        ]
        found += [f"unknown to prunable: {row['path']}: {row['why']}" for row in rows if row["stage"] == "unknown"]
        found += [f"still locked: {path}" for path in self.results.rglob("*.lock") if is_held(path)]
        return found if said.returncode == 0 else [*found, said.stderr]

    def _named(self, paths: list[Path]) -> list[str]:
        return [path.relative_to(self.project.folder).as_posix() for path in paths]

    def computed(self) -> dict[str, int]:
        """What jobs computed in this life."""
        return how_often(self.spied.lines)


def kill(pid: int, number: int) -> None:
    """Send a signal, unless the process has just ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def limit_memory(job: Job, more: int) -> None:
    """Let a job have only so many bytes more than it has."""
    process = psutil.Process(job.pid)
    most = process.memory_info().vms + more
    process.rlimit(psutil.RLIMIT_AS, (most, most))


def watch(project: Project) -> None:
    """Have all jobs of a project noted, with what they compute."""
    scripts = project.folder / "workflow" / "scripts"
    shutil.copy2(Path(__file__).with_name("fault_spy.py"), scripts)
    for script in scripts.glob("*.py"):
        text = script.read_text()
        if script.name != "fault_spy.py" and re.search(r"\bsnakemake\.log\b", text):
            script.write_text(f"import fault_spy\n\nfault_spy.started({script.stem!r}, str(snakemake.log[0]))\n{text}")
