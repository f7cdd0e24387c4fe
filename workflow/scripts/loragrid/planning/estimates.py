"""What jobs will take: by what earlier ones of the same kind took, else by a first guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from loragrid.config.root import Config
from loragrid.planning.history import Recorded, kind_of_job
from loragrid.planning.workload import Job, Work

FLOPS = 4e10
"""First guess of a processor's speed: floating-point operations a second in each thread, in large float32 products with AVX2."""


GPU_FLOPS = 4e13
"""The same for a GPU: some tenths of what its matrix units can do in bfloat16, as small batches leave them."""


OPERATIONS = {"train": 4, "train_full": 6, "predict": 2}
"""Floating-point operations for each parameter and token: 2 in the forward pass, 2 for the gradients of activations, 2 for those of weights
(Kaplan et al. 2020, arXiv:2001.08361, section 2.1); adapters leave the last out."""


SERVER_RATE = 1000.0
"""First guess of the tokens a second, of prompts and answers, that a server takes from one job."""


START_UP = 15.0
"""First guess of the seconds until a process has loaded its libraries and a model."""


SECONDS = {"import_model": 60.0, "check": 20.0, "tokenise": 10.0, "analyse": 20.0, "report": 10.0, "describe_data": 10.0}
"""First guess for jobs whose time does not go by tokens; `FEW_SECONDS` for all others."""


FEW_SECONDS = 3.0


JUDGE_SECONDS = 3.0
"""First guess of the seconds that a judge takes for an answer."""


BASES = ("recorded", "other model", "first guess")
"""What an estimate may rest on, the best first."""


class Machine(NamedTuple):
    """Where the jobs run."""

    at_once: int
    """Cores, or jobs on a cluster."""
    gpus: int
    """GPUs that they share; 0 where there are none, and on a cluster, which has its own."""
    cluster: bool = False
    """Each job there has its cores to itself, however many."""


class Estimate(NamedTuple):
    """What a job will probably take."""

    seconds: float
    basis: str
    """One of `BASES`."""
    records: int
    """How many recorded jobs it rests on."""


class Row(NamedTuple):
    """The jobs of one rule and one base model, or sums of such rows. Counts and costs, but for `jobs` and `done`, are of what is to do."""

    rule: str
    base_model: str
    jobs: int
    done: int
    """Already there and up to date."""
    to_do: int
    tokens: float
    new_tokens: float
    requests: float
    hours: float
    """Sum over the jobs, whatever they run on."""
    hours_recorded: float
    """Those of them that rest on recorded jobs."""
    longest_s: float
    """Seconds of the longest of them."""
    cost: float
    """In the currency of the configured prices; 0 where none is configured."""
    peak_mb: float
    """Highest memory that such a job is recorded with; 0 where none is."""
    mem_mb: float
    """Memory that a job asks for; 0 where that is not one number and not recorded either."""
    threads: int
    basis: str
    """What `hours` rests on, one of `BASES`: the worst of its jobs; empty where there is nothing to do."""
    records: int


class Plan(NamedTuple):
    """All that is estimated."""

    rows: list[Row]
    """One for each rule and base model."""
    wall_s: float
    """A guess of the seconds until everything is there."""


def estimate(
    config: Config,
    jobs: Sequence[Job],
    works: Sequence[Work],
    history: Sequence[Recorded],
    parameters: Mapping[str, tuple[float, str]],
    rules: Mapping[str, Mapping[str, Any]],
    machine: Machine,
) -> Plan:
    """The plan of a grid.

    Args:
        works: what each job has to do.
        parameters: of each base model.
        rules: of each rule `asked`, what a job asks for: `cores`, `mem_mb` (or None) and `gpu`, by the value of its wildcard
            `decider`, and under "" for all other values.
    """
    by_rule: dict[str, list[Recorded]] = {}
    for one in history:
        by_rule.setdefault(one.rule, []).append(one)
    sizes = {name: size for name, (size, _) in parameters.items()}
    grouped: dict[tuple[str, str], list[tuple[Job, Work]]] = {}
    for job, work in zip(jobs, works, strict=True):
        grouped.setdefault((job.rule, job.wildcards.get("base_model", "")), []).append((job, work))
    rows = []
    for (rule, base_model), group in grouped.items():
        to_do = [(job, work) for job, work in group if job.to_do]
        recorded = by_rule.get(rule, [])
        asked = [_asked(rules[rule], job) for job, _ in group]
        threads = max(one["cores"] for one in asked)
        if not machine.cluster:
            # Snakemake gives a job no more than there are.
            threads = min(threads, machine.at_once)
        flops = GPU_FLOPS if machine.gpus or any(one["gpu"] for one in asked) else FLOPS * threads
        known: dict[tuple[str, Work], Estimate] = {}
        estimates = []
        for job, work in to_do:
            key = kind_of_job(rule, job.wildcards), work
            if key not in known:
                known[key] = estimate_job(config, rule, base_model, key[0], work, recorded, sizes, flops)
            estimates.append(known[key])
        seconds = [one.seconds for one in estimates]
        own = [one for one in recorded if one.base_model == base_model] or recorded
        rows.append(
            Row(
                rule,
                base_model,
                jobs=len(group),
                done=len(group) - len(to_do),
                to_do=len(to_do),
                tokens=sum(work.tokens for _, work in to_do),
                new_tokens=sum(work.new for _, work in to_do),
                requests=sum(work.requests for _, work in to_do),
                hours=sum(seconds) / 3600,
                hours_recorded=sum(one.seconds for one in estimates if one.basis == "recorded") / 3600,
                longest_s=max(seconds, default=0.0),
                cost=sum(cost_of(config, job, work, one.seconds) for (job, work), one in zip(to_do, estimates, strict=True)),
                peak_mb=max((one.peak_mb for one in own), default=0.0),
                mem_mb=max(one["mem_mb"] or 0 for one in asked) or (own[-1].asked_mb if own else None) or 0,
                threads=threads,
                basis=max((one.basis for one in estimates), key=BASES.index, default=""),
                records=max((one.records for one in estimates), default=0),
            )
        )
    return Plan(rows, wall_seconds(rows, machine))


def _asked(rule: Mapping[str, Any], job: Job) -> Mapping[str, Any]:
    asked: Mapping[str, Any] = rule["asked"].get(job.wildcards.get(rule["decider"]), rule["asked"][""])
    return asked


def estimate_job(
    config: Config,
    rule: str,
    base_model: str,
    kind: str,
    work: Work,
    recorded: Sequence[Recorded],
    sizes: Mapping[str, float],
    flops: float,
) -> Estimate:
    """Seconds of a job: start-up + effort / rate; where time does not go by tokens, the mean of recorded jobs.

    The rate is the median over recorded jobs of their tokens a second, the start-up the median of the seconds in which they did not work: of the same
    base model and kind, else of the same base model, else of another base model, whose rate is taken as inversely proportional to its parameters.

    Args:
        kind: as in `Recorded`.
        recorded: jobs of the same rule.
        flops: first guess of floating-point operations a second.
    """
    if rule not in OPERATIONS:
        # A scorer may score many files in one job and find the others' scores already there: the mean gives the right sum, the median would not.
        alike = [one for one in recorded if one.kind == kind]
        own = [one for one in alike if one.base_model == base_model] or alike
        if own:
            return Estimate(fmean(one.seconds for one in own), "recorded", len(own))
        scorer = config.scorers.get(kind) if rule == "score" else None
        if scorer is not None and scorer.requests:
            return Estimate(FEW_SECONDS + work.requests * JUDGE_SECONDS / scorer.requests.at_once, "first guess", 0)
        return Estimate(SECONDS.get(rule, FEW_SECONDS), "first guess", 0)
    timed = [one for one in recorded if one.work_s and one.effort]
    own = [one for one in timed if one.base_model == base_model]
    chosen = [one for one in own if one.kind == kind] or own
    if chosen:
        return Estimate(_by_rate(chosen, work.effort, 1.0), "recorded", len(chosen))
    scaled = [one._replace(effort=one.effort * sizes[one.base_model]) for one in timed if one.base_model in sizes]
    if scaled and base_model in sizes:
        return Estimate(_by_rate(scaled, work.effort, sizes[base_model]), "other model", len(scaled))
    served = config.models[base_model].engine.is_server
    rate = flops / (OPERATIONS[rule] * sizes[base_model])
    return Estimate(START_UP + work.effort / (SERVER_RATE if served and rule == "predict" else rate), "first guess", 0)


def _by_rate(recorded: Iterable[Recorded], effort: float, size: float) -> float:
    """Start-up + effort x size / rate."""
    timed = [(one.seconds, one.work_s, one.effort) for one in recorded if one.work_s]
    # What was interrupted and went on is recorded with more work than seconds.
    start_up = median(max(seconds - work_s, 0.0) for seconds, work_s, _ in timed)
    rate = median(done / work_s for _, work_s, done in timed)
    return start_up + effort * size / rate


def cost_of(config: Config, job: Job, work: Work, seconds: float) -> float:
    """What a job costs by the configured prices: of a judge by its tokens, of a base model by time and tokens of its trainings and predictions."""
    price = None
    if job.rule == "score":
        price = config.scorers[job.wildcards["scorer"]].token_price
    elif job.rule in OPERATIONS:
        price = config.models[job.wildcards["base_model"]].price
    if price is None:
        return 0.0
    tokens = (work.tokens - work.new) * price.million_prompt_tokens + work.new * price.million_new_tokens
    return seconds / 3600 * price.hour + (tokens / 1e6 if job.rule in ("score", "predict") else 0.0)


def wall_seconds(rows: Iterable[Row], machine: Machine) -> float:
    """A guess of the time until everything is there: of the jobs shared out evenly, but no less than the longest job of each rule in a row.

    Both bound a list schedule from below, the sum of them from above (Graham 1969): the larger is right where jobs are many or depend on each other
    little. Waiting in the queue of a cluster comes on top.
    """
    shares = 0.0
    longest: dict[str, float] = {}
    for row in rows:
        slots = machine.at_once if machine.cluster else max(machine.at_once // row.threads, 1)
        if machine.gpus and row.rule in (*OPERATIONS, "check"):
            slots = min(slots, machine.gpus)
        shares += row.hours * 3600 / slots
        longest[row.rule] = max(longest.get(row.rule, 0.0), row.longest_s)
    return max(shares, sum(longest.values()))


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
