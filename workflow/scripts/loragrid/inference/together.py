"""Prediction jobs of several runs that ask one base model together: their questions stand in the same batches.

Each job keeps its own journal, so that an interrupted job goes on alone or together. What fails is asked again by itself: a job
that cannot be done fails alone, with its own sentence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from loragrid.errors import UserError
from loragrid.inference.engine import WHOLE, Together
from loragrid.inference.job import PredictJob, Prepared, answer_alone, begin_journal, by_prompt, prepare, write_predictions
from loragrid.inference.kept_engines import KeptEngines
from loragrid.inference.protocol import Asked, Engine, begin_to_ask, told_progress
from loragrid.runtime.job import log
from loragrid.runtime.manifests import read_json

MOST_RANKS = 256
"""Ranks of adapters that are asked at the same time. Each token is multiplied with all of them: many more would cost more than
shared batches save."""

Done = Callable[[PredictJob, Exception | None], None]
"""Is told of each job as soon as its predictions are written, or why there are none."""


def gains_together(job: PredictJob) -> bool:
    """Whether a job is done faster together with others: on a GPU, or by an engine that has its own way. It may import torch."""
    return job.engine.gains_together()


def may_share(one: PredictJob, other: PredictJob) -> bool:
    """Whether two jobs may ask in the same batches: the same base model, engine and decoding. Their seeds may differ.

    It looks at no file: an adapter may still turn out to be one that shares no batch.
    """
    return _sharing(one) is not None and _sharing(one) == _sharing(other)


def _sharing(job: PredictJob) -> tuple[object, ...] | None:
    """What two jobs have in common that share batches; None if a job shares with nobody."""
    settings, model = job.settings, job.files.model
    if model.adapter and model.adapter.rpartition("/")[2] == WHOLE:
        return None
    if settings.how.latency or not job.engine.needs_source:
        return None
    how = settings.how._replace(samples=1, seed=0)
    return job.base_model, model.model, settings.model, settings.quantization, job.engine, how, job.threads


def predict_together(jobs: Sequence[PredictJob], open_engine: KeptEngines, done: Done) -> None:
    """Make the predictions of several jobs, whose locks the caller holds.

    Where that gains something, and if each two of them `may_share`, they are asked together; else one after another.

    Args:
        open_engine: what `kept_engines` yields.
    """
    ready = [prepared for job in jobs if (prepared := _prepared(job, done))]
    waiting = [begun for begun in ready if begun.prepared.missing]
    together = [begun for begun in waiting if may_share(begun.prepared.job, waiting[0].prepared.job)]
    finished: list[PredictJob] = []
    gains = len(together) > 1 and gains_together(together[0].prepared.job)

    def note(job: PredictJob, error: Exception | None) -> None:
        finished.append(job)
        done(job, error)

    for group in _groups(together) if gains else []:
        try:
            _ask_together(group, open_engine, note)
        except Exception as error:
            log.info("%d jobs cannot be asked together; each goes on by itself: %s", len(group), error)
    for begun in ready:
        if not any(job is begun.prepared.job for job in finished):
            _alone(begun, open_engine, done)


class _Begun(NamedTuple):
    """A job whose prompts are made."""

    prepared: Prepared
    seconds: float
    """What the job has taken so far."""

    def started(self, more_seconds: float = 0.0) -> float:
        """When the job would have started, had it computed by itself: `time.perf_counter()` then."""
        return time.perf_counter() - self.seconds - more_seconds


def _groups(jobs: Sequence[_Begun]) -> list[list[_Begun]]:
    """Jobs that are asked at the same time: two or more, whose adapters have at most `MOST_RANKS` ranks together."""
    groups: list[list[_Begun]] = [[]]
    ranks = 0
    for begun in jobs:
        rank = _rank(begun.prepared.job)
        if groups[-1] and ranks + rank > MOST_RANKS:
            groups.append([])
            ranks = 0
        groups[-1].append(begun)
        ranks += rank
    return [group for group in groups if len(group) > 1]


def _rank(job: PredictJob) -> int:
    """The rank of a job's adapter; 0 if it has none, or no rank."""
    if job.files.model.adapter_config is None:
        return 0
    try:
        rank = read_json(job.files.model.adapter_config).get("r")
    except (UserError, OSError):
        # Who loads it will say what is wrong.
        return 0
    return rank if isinstance(rank, int) else 0


def _prepared(job: PredictJob, done: Done) -> _Begun | None:
    started = time.perf_counter()
    try:
        return _Begun(prepare(job), time.perf_counter() - started)
    except Exception as error:
        done(job, error)
        return None


def _alone(begun: _Begun, open_engine: KeptEngines, done: Done) -> None:
    try:
        answer_alone(begun.prepared, begun.started(), open_engine)
    except Exception as error:
        done(begun.prepared.job, error)
    else:
        done(begun.prepared.job, None)


class _Sharer(NamedTuple):
    """A job that shares batches with others."""

    begun: _Begun
    place: int
    """The index of its model among those that are asked together."""
    engine: Engine
    asked: Asked


def _ask_together(jobs: Sequence[_Begun], open_engine: KeptEngines, done: Done) -> None:
    with open_engine.together(jobs[0].prepared.job.engine, [begun.prepared.model for begun in jobs]) as opened:
        sharers = list(_sharers(jobs, opened))
        if len(sharers) < 2:
            return
        log.info("%d jobs are asked together: %s", len(sharers), ", ".join(_name(sharer.begun) for sharer in sharers))
        pooled = [(sharer, i) for sharer in sharers for i in range(len(sharer.asked.questions))]
        questions = [(sharer.asked.questions[i], sharer.place) for sharer, i in pooled]
        answered = frozenset(number for number, (sharer, i) in enumerate(pooled) if i in sharer.asked.answers)
        left = list(sharers)
        decoding = jobs[0].prepared.job.settings.how
        arriving = opened.ask(questions, decoding, answered) if len(answered) < len(pooled) else iter([{}])
        for new in told_progress(arriving, *(sharer.asked for sharer in sharers)):
            for sharer in left:
                own = {pooled[number][1]: answer for number, answer in new.items() if pooled[number][0] is sharer}
                if own:
                    sharer.asked.add(own)
            for sharer in [sharer for sharer in left if len(sharer.asked.answers) == len(sharer.asked.questions)]:
                left.remove(sharer)
                _write(sharer, done)


def _sharers(jobs: Sequence[_Begun], opened: Together) -> Iterator[_Sharer]:
    for place, (begun, engine) in enumerate(zip(jobs, opened.engines, strict=True)):
        if isinstance(engine, str):
            log.info("%s is answered by itself: %s", _name(begun), engine)
            continue
        prepared = begun.prepared
        journal = begin_journal(prepared, engine)
        yield _Sharer(begun, place, engine, begin_to_ask(prepared.missing, prepared.job.settings.how, journal))


def _write(sharer: _Sharer, done: Done) -> None:
    """Write the predictions of a job. Its seconds are its own, and its share of those of the batches."""
    prepared, asked = sharer.begun.prepared, sharer.asked
    new = by_prompt(sharer.engine, prepared.missing, asked.of_each_prompt(prepared.job.settings.how.samples))
    started = sharer.begun.started(sum(answer.runtime_s for answer in asked.answers.values()))
    try:
        write_predictions(prepared, new, started, sharer.engine, asked.journal)
    except Exception as error:
        done(prepared.job, error)
    else:
        done(prepared.job, None)


def _name(begun: _Begun) -> str:
    return begun.prepared.job.files.predictions
