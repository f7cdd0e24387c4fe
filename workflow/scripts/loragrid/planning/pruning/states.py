"""Which unfinished and costly work is no longer of use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from loragrid.layout import AHEAD, ASKINGS, JUDGEMENT_STATES, LOCKS, SCORE_STATES, SHARES, STATE
from loragrid.planning.pruning.in_use import InUse
from loragrid.planning.pruning.listing import UNKNOWN, Row, Verdict
from loragrid.planning.pruning.origins import Origins
from loragrid.planning.pruning.tree import File
from loragrid.runtime.files import fingerprint
from loragrid.runtime.finished import WORK_STATES
from loragrid.runtime.locks import is_held
from loragrid.runtime.states import DAMAGED, whose_state

DAY_S = 86400.0


STATE_DAYS = 30
"""A state that does not say what it belongs to counts as useless after this many days without a change."""


def state_rows(files: Iterable[File], in_use: InUse, origins: Origins, now: float) -> Iterator[Row]:
    """The lines of states that are no longer of use, and of states of unknown use."""
    states: dict[Path, list[File]] = {}
    for file in files:
        if any(part.endswith(DAMAGED) for part in Path(file.path).parts) and not file.is_link:
            yield Row(file.path, file.bytes, "state", "damaged, and set aside")
            continue
        states.setdefault(_state_of(file.path), []).append(file)
    for state, parts in states.items():
        verdict = state_verdict(state, max(file.changed for file in parts), in_use, origins, now)
        if verdict and any(file.is_link for file in parts):
            verdict = Verdict(UNKNOWN, "a link, which no rule makes: kept, as is what it points to")
        if verdict:
            yield from (Row(file.path, file.bytes, *verdict) for file in parts)


def _state_of(path: str) -> Path:
    """The state that a file belongs to, without an ending.

    A state is a folder or a journal, with a description, log lines and a lock beside it.
    """
    first = f"{STATE}/{Path(path).relative_to(STATE).parts[0]}"
    family = next((family for family in WORK_STATES if path.startswith(f"{family}/")), first)
    inside = Path(path).relative_to(family).parts
    if not inside:
        return Path(family)
    # A folder that is half-written stands beside its place.
    name = inside[0].removesuffix(".partial")
    return Path(family, Path(name if name == inside[0] else name.removeprefix(".")).stem)


def state_verdict(state: Path, changed: float, in_use: InUse, origins: Origins, now: float) -> Verdict | None:
    """Stage and reason of a state that can go, or that is of unknown use; None if it has to stay.

    Args:
        state: its place, without an ending.
        changed: the time of the last change to any of its files.
    """
    family, stage = state.parent.as_posix(), f"state of {state.parent.relative_to(STATE).as_posix()}"
    if family == JUDGEMENT_STATES:
        # Behind the judge stands its server.
        is_asked = state.name.partition("-")[0] in in_use.judges
        return None if is_asked else Verdict(stage, "no judge of the configuration asks in this way")
    if family == SCORE_STATES:
        is_configured = _has_scorer(state, in_use)
        return None if is_configured else Verdict(stage, "no scorer of the configuration has these settings")
    if family == ASKINGS:
        # Small, and of use to any card of the same format.
        return None
    if family == AHEAD:
        in_use_now = is_held(state.with_suffix(".lock"))
        return None if in_use_now else Verdict(stage, "the list of jobs of a Snakemake that was killed")
    if family in (LOCKS, SHARES):
        # Removing leaves out locks that are held.
        return Verdict(stage, "left by a job that was killed")
    of_jobs = family in WORK_STATES
    result = whose_state(state).get("result")
    if of_jobs and isinstance(result, str):
        why = _why_not_continued(result, changed, in_use, origins)
        return None if why is None else Verdict(stage, why)
    days = (now - changed) / DAY_S
    if of_jobs and days > STATE_DAYS:
        return Verdict(stage, f"it does not say whose it is, and has not changed for {STATE_DAYS} days")
    return Verdict(UNKNOWN, f"it does not say whose it is: kept ({days:.0f} days old)")


def _has_scorer(state: Path, in_use: InUse) -> bool:
    """Whether the configuration has the scorer of the kept values, or a scorer of its type if they do not name one."""
    if settings := whose_state(state).get("settings"):
        return fingerprint(settings) in in_use.scorers
    return state.name.rpartition("-")[0] in in_use.scorer_types


def _why_not_continued(result: str, changed: float, in_use: InUse, origins: Origins) -> str | None:
    """Why no job will go on with unfinished work, given the result that the work is for; None if a job may."""
    if result not in in_use.files:
        origin = origins.explain(result)
        return origin.why if origin else "the workflow has no such result"
    finished = Path(result)
    if finished.exists() and finished.stat().st_mtime > changed:
        return "its result is finished"
    return None
