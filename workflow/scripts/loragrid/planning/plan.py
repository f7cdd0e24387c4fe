"""The plan of a grid: a row for each rule and base model, and the time until everything is there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from loragrid.config.root import Config
from loragrid.layout import PLAN, Files
from loragrid.planning.estimates import BASES, FLOPS, GPU_FLOPS, OPERATIONS, START_UP, Estimate, cost_of, estimate_job
from loragrid.planning.history import Recorded, speed_group
from loragrid.planning.jobs import Job
from loragrid.planning.settings import PlannedRule
from loragrid.planning.workload import Work
from loragrid.runtime.files import written_whole
from loragrid.runtime.gpu_leases import local_gpus


class Machine(NamedTuple):
    """Where the jobs run."""

    at_once: int
    """Cores, or jobs on a cluster."""
    gpus: int
    """GPUs that jobs share; 0 if there are none, and on a cluster, where jobs have their own."""
    cluster: bool = False
    """Each job on a cluster has its cores to itself, however many."""


def machine_of(cores: int | None, jobs: int | None, gpus: int | None) -> Machine:
    """Where the jobs of a call of Snakemake run.

    Args:
        cores: of this machine, if the jobs run here.
        jobs: how many run at a time, if they run on a cluster.
        gpus: how many of them can have a GPU of this machine at a time; None: as many as there are GPUs that are leased.
    """
    if jobs:
        return Machine(jobs, 0, cluster=True)
    return Machine(cores or 1, len(local_gpus()) if gpus is None else gpus)


class Row(NamedTuple):
    """The jobs of one rule and one base model, or sums of such rows.

    Counts and costs, except `jobs` and `done`, are about jobs that are to do.
    """

    rule: str
    base_model: str
    jobs: int
    done: int
    """Jobs with results that are there and up to date."""
    to_do: int
    tokens: float
    new_tokens: float
    requests: float
    hours: float
    """Sum over the jobs, wherever they run."""
    hours_recorded: float
    """The hours that rest on recorded jobs."""
    longest_s: float
    """Seconds of the longest job."""
    cost: float
    """In the currency of the configured prices; 0 if no price is configured."""
    peak_mb: float
    """Highest recorded memory of such a job; 0 if none is recorded."""
    mem_mb: float
    """Memory that a job asks for; 0 if it is not a single number and not recorded either."""
    threads: int
    basis: str
    """What `hours` rests on, one of `BASES`: the worst basis among its jobs; empty if there is nothing to do."""
    records: int


class Plan(NamedTuple):
    """All that is estimated."""

    rows: list[Row]
    """One for each rule and base model."""
    wall_s: float
    """A guess of the seconds until everything is there."""


def make_plan(
    config: Config,
    jobs: Sequence[Job],
    works: Sequence[Work],
    history: Iterable[Recorded],
    parameters: Mapping[str, tuple[float, str]],
    rules: Mapping[str, PlannedRule],
    machine: Machine,
) -> Plan:
    """The plan of a grid.

    Args:
        works: what each job has to do.
        parameters: of each base model, with their source.
    """
    recorded: dict[str, list[Recorded]] = {}
    for record in history:
        recorded.setdefault(record.rule, []).append(record)
    sizes = {name: size for name, (size, _) in parameters.items()}
    together: dict[tuple[str, str], list[tuple[Job, Work]]] = {}
    for job, work in zip(jobs, works, strict=True):
        together.setdefault((job.rule, job.wildcards.get("base_model", "")), []).append((job, work))
    rows = [
        plan_row(config, rule, base_model, group, recorded.get(rule, []), sizes, rules[rule], machine)
        for (rule, base_model), group in together.items()
    ]
    return Plan(rows, wall_seconds(rows, machine))


def plan_row(
    config: Config,
    rule: str,
    base_model: str,
    group: Sequence[tuple[Job, Work]],
    recorded: Sequence[Recorded],
    sizes: Mapping[str, float],
    planned_rule: PlannedRule,
    machine: Machine,
) -> Row:
    """The row of the jobs of one rule and one base model.

    Args:
        group: the jobs, with what they have to do.
        recorded: jobs of the same rule.
        sizes: parameters of each base model.
    """
    to_do = [(job, work) for job, work in group if job.to_do]
    asked = [planned_rule.asked_by(job.wildcards.get(planned_rule.decider)) for job, _ in group]
    threads = max(resources.cores for resources in asked)
    if not machine.cluster:
        # Snakemake gives a job no more than there are.
        threads = min(threads, machine.at_once)
    on_gpu = machine.gpus or any(resources.gpu for resources in asked)
    flops = GPU_FLOPS if on_gpu else FLOPS * threads
    # One process may work for several jobs.
    each = len(to_do) / _slots(rule, threads, machine)
    limit = min(resources.jobs_per_process for resources in asked)
    start_up = START_UP / max(1.0, min(each, limit) if limit else each)
    estimates = estimate_jobs(config, rule, base_model, to_do, recorded, sizes, flops, start_up)
    seconds = [estimate.seconds for estimate in estimates]
    same_model = [record for record in recorded if record.base_model == base_model] or recorded
    asked_mb = max(resources.mem_mb or 0 for resources in asked)
    return Row(
        rule,
        base_model,
        jobs=len(group),
        done=len(group) - len(to_do),
        to_do=len(to_do),
        tokens=sum(work.tokens for _, work in to_do),
        new_tokens=sum(work.new for _, work in to_do),
        requests=sum(work.requests for _, work in to_do),
        hours=sum(seconds) / 3600,
        hours_recorded=sum(estimate.seconds for estimate in estimates if estimate.basis == "recorded") / 3600,
        longest_s=max(seconds, default=0.0),
        cost=sum(cost_of(config, job, work, of_job) for (job, work), of_job in zip(to_do, seconds, strict=True)),
        peak_mb=max((record.peak_mb for record in same_model), default=0.0),
        mem_mb=asked_mb or (same_model[-1].asked_mb if same_model else None) or 0,
        threads=threads,
        basis=max((estimate.basis for estimate in estimates), key=BASES.index, default=""),
        records=max((estimate.records for estimate in estimates), default=0),
    )


def estimate_jobs(
    config: Config,
    rule: str,
    base_model: str,
    to_do: Iterable[tuple[Job, Work]],
    recorded: Sequence[Recorded],
    sizes: Mapping[str, float],
    flops: float,
    start_up: float,
) -> list[Estimate]:
    """The estimate of each job. Jobs with the same work are estimated once."""
    estimates: dict[tuple[str, Work], Estimate] = {}
    keys = [(speed_group(rule, job.wildcards), work) for job, work in to_do]
    for key in dict.fromkeys(keys):
        estimates[key] = estimate_job(config, rule, base_model, *key, recorded, sizes, flops, start_up)
    return [estimates[key] for key in keys]


def wall_seconds(rows: Iterable[Row], machine: Machine) -> float:
    """A guess of the time until everything is there.

    The guess is the larger of two times: all jobs, shared out evenly; and the longest job of each rule, one after another.
    Both are lower bounds of a list schedule, and their sum is an upper bound (Graham 1969). The larger time is right if there are
    many jobs, or if they depend little on each other. Waiting in the queue of a cluster comes on top.
    """
    shares = 0.0
    longest: dict[str, float] = {}
    for row in rows:
        shares += row.hours * 3600 / _slots(row.rule, row.threads, machine)
        longest[row.rule] = max(longest.get(row.rule, 0.0), row.longest_s)
    return max(shares, sum(longest.values()))


def _slots(rule: str, threads: int, machine: Machine) -> int:
    """How many jobs of a rule run at a time."""
    slots = machine.at_once if machine.cluster else max(machine.at_once // threads, 1)
    return min(slots, machine.gpus) if machine.gpus and rule in (*OPERATIONS, "check", "probe", "measure_likelihoods") else slots


def summed(rows: Iterable[Row], rule: str = "", base_model: str = "") -> Row:
    """Rows as one."""
    rows = list(rows)
    added = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("jobs", "done", "to_do", "tokens", "new_tokens", "requests", "hours", "hours_recorded", "cost")
    }
    highest = {
        name: max((getattr(row, name) for row in rows), default=0)
        for name in ("longest_s", "peak_mb", "mem_mb", "threads", "records")
    }
    basis = max((row.basis for row in rows if row.basis), key=BASES.index, default="")
    return Row(rule, base_model, basis=basis, **added, **highest)


def write_plan(plan: Plan, text: str, files: Files = PLAN) -> None:
    """Write the table of the plan, with a row for each rule and base model, and the text beside it."""
    with written_whole(files.outputs["table"]) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in plan.rows:
            writer.writerow([round(value, 6) if isinstance(value, float) else value for value in row])
    with written_whole(files.outputs["text"]) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
