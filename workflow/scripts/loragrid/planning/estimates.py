"""How long a job will take and what it will cost, from earlier jobs of its rule, or else from a first guess."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from loragrid.config.root import Config
from loragrid.planning.history import Recorded
from loragrid.planning.jobs import Job
from loragrid.planning.workload import Work

FLOPS = 4e10
"""First guess of a processor's speed: floating-point operations per second and thread, in large float32 products with AVX2."""


GPU_FLOPS = 4e13
"""The same for a GPU: some tenths of the speed of its matrix units in bfloat16, since small batches do not fill them."""


OPERATIONS = {"train": 4, "train_full": 6, "predict": 2}
"""Floating-point operations per parameter and token: 2 in the forward pass, 2 for the gradients of activations, 2 for the
gradients of weights (Kaplan et al. 2020, arXiv:2001.08361, section 2.1). Adapters leave out the last."""


SERVER_RATE = 1000.0
"""First guess of the tokens per second, of prompts and answers, that a server processes for one job."""


START_UP = 15.0
"""First guess of the seconds until a process has loaded its libraries and a model."""


_ODD = 10
"""A start-up is odd if it is so many times longer than is usual."""


SECONDS = {
    "import_model": 60.0,
    "check": 5.0,
    "probe": 5.0,
    "measure_likelihoods": 60.0,
    "tokenise": 10.0,
    "analyse": 20.0,
    "report": 10.0,
    "describe_data": 10.0,
}
"""First guess for jobs whose time does not go by tokens; `FEW_SECONDS` for all others. Checks, probes and measurings of
likelihoods start up before."""


FEW_SECONDS = 3.0


JUDGE_SECONDS = 3.0
"""First guess of the seconds that a judge takes for an answer."""


BASES = ("recorded", "other model", "first guess")
"""What an estimate may rest on, the best basis first."""


class Estimate(NamedTuple):
    """What a job will probably take."""

    seconds: float
    basis: str
    """One of `BASES`."""
    records: int
    """How many recorded jobs it rests on."""


def estimate_job(
    config: Config,
    rule: str,
    base_model: str,
    speed_group: str,
    work: Work,
    recorded: Sequence[Recorded],
    sizes: Mapping[str, float],
    flops: float,
    start_up: float = START_UP,
) -> Estimate:
    """Seconds of a job: by its tokens where its time goes by them, else the mean of recorded jobs.

    Args:
        speed_group: as in `Recorded`.
        recorded: jobs of the same rule.
        sizes: parameters of each base model.
        flops: first guess of floating-point operations a second.
        start_up: first guess of the job's share in the start of processes.
    """
    if rule in OPERATIONS:
        return _by_tokens(config, rule, base_model, speed_group, work, recorded, sizes, flops, start_up)
    return _by_recorded_mean(config, rule, base_model, speed_group, work, recorded, start_up)


def _by_recorded_mean(
    config: Config, rule: str, base_model: str, speed_group: str, work: Work, recorded: Sequence[Recorded], start_up: float
) -> Estimate:
    """The mean of recorded jobs of the same speed group, if possible also of the same base model."""
    # A scorer may score many files in one job, so that other jobs find their scores already there:
    # the mean gives the right sum, the median would not.
    same_group = [record for record in recorded if record.speed_group == speed_group]
    if chosen := [record for record in same_group if record.base_model == base_model] or same_group:
        return Estimate(fmean(record.seconds for record in chosen), "recorded", len(chosen))
    scorer = config.scorers.get(speed_group) if rule == "score" else None
    if scorer is not None and scorer.requests:
        return Estimate(FEW_SECONDS + work.requests * JUDGE_SECONDS / scorer.requests.at_once, "first guess", 0)
    starts = rule in ("check", "probe", "measure_likelihoods")
    return Estimate(SECONDS.get(rule, FEW_SECONDS) + (start_up if starts else 0.0), "first guess", 0)


def _by_tokens(
    config: Config,
    rule: str,
    base_model: str,
    speed_group: str,
    work: Work,
    recorded: Sequence[Recorded],
    sizes: Mapping[str, float],
    flops: float,
    start_up: float,
) -> Estimate:
    """Start-up + effort / rate.

    The rate is the median of tokens per second over recorded jobs. The start-up is the mean of the seconds in which they
    did not work. The jobs are of the same base model and speed group, else of the same base model, else of another base model.
    The rate of another base model is taken as inversely proportional to its parameters.
    """
    timed = [record for record in recorded if record.work_s and record.effort]
    same_model = [record for record in timed if record.base_model == base_model]
    if chosen := [record for record in same_model if record.speed_group == speed_group] or same_model:
        return Estimate(_by_rate(chosen, work.effort, 1.0), "recorded", len(chosen))
    scaled = [record._replace(effort=record.effort * sizes[record.base_model]) for record in timed if record.base_model in sizes]
    if scaled and base_model in sizes:
        return Estimate(_by_rate(scaled, work.effort, sizes[base_model]), "other model", len(scaled))
    served = config.models[base_model].engine.is_server
    rate = flops / (OPERATIONS[rule] * sizes[base_model])
    return Estimate(start_up + work.effort / (SERVER_RATE if served and rule == "predict" else rate), "first guess", 0)


def _by_rate(recorded: Iterable[Recorded], effort: float, size: float) -> float:
    """Start-up + effort x size / rate."""
    timed = [(record.seconds, record.work_s, record.effort) for record in recorded if record.work_s]
    # A job that was interrupted and went on is recorded with its whole work, but not with all its seconds.
    start_up = _mean_start_up([max(seconds - work_s, 0.0) for seconds, work_s, _ in timed])
    rate = median(done / work_s for _, work_s, done in timed)
    return start_up + effort * size / rate


def _mean_start_up(seconds: Sequence[float]) -> float:
    """The mean, which gives the right sum: one process works for many jobs, and only the one that it was started for starts up.

    What is far from all others is left out, such as a job that waited for a slow disk.
    """
    most = _ODD * max(median(seconds), START_UP)
    return fmean(one for one in seconds if one <= most)


def cost_of(config: Config, job: Job, work: Work, seconds: float) -> float:
    """What a job costs by the configured prices.

    The price of a judge goes by its tokens, the price of a base model by time and tokens of its trainings and predictions.
    """
    price = None
    if job.rule == "score":
        price = config.scorers[job.wildcards["scorer"]].token_price
    elif job.rule in OPERATIONS:
        price = config.models[job.wildcards["base_model"]].price
    if price is None:
        return 0.0
    tokens = (work.tokens - work.new) * price.million_prompt_tokens + work.new * price.million_new_tokens
    return seconds / 3600 * price.hour + (tokens / 1e6 if job.rule in ("score", "predict") else 0.0)
