"""How costly values are kept, so that each distinct answer is scored once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from loragrid.runtime.files import fingerprint
from loragrid.runtime.job import log
from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.runtime.locks import held_if_free
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction

CHUNK = 1024
"""Number of answers after which costly values are kept."""


def content(item: Item) -> str:
    """A hash of all that decides on an answer's score, whoever gave the answer."""
    return fingerprint([item.prediction, item.references, item.instruction, item.input])


def scored_once(items: Sequence[Item], others: Callable[[], Iterable[Item]], score: ScorerFunction, store: Path) -> list[Outcome]:
    """The outcomes of all items from a costly scorer, each distinct answer scored once and kept in a store.

    Loading a model takes longer than scoring a file. So a job that has to start the scorer anyway also scores the answers of
    other jobs, unless another job is doing that already. Answers that share their references are scored together, so that the
    scorer looks at the references once.

    Args:
        others: answers that wait for the same scorer; only called if something is to be scored.
        store: journal of the scorer. Its name depends on everything that decides on outcomes, besides the answers.
    """
    from tqdm import tqdm

    kept = read_journal(store, _kept_outcome)
    wanted = {content(item): item for item in items}
    if wanted.keys() - kept.keys():
        with held_if_free(store.with_suffix(".lock")) as mine:
            wanted |= {content(item): item for item in others()} if mine else {}
            missing = sorted((item.references, key) for key, item in wanted.items() if key not in kept)
            log.info("%d answers to score, %d are known", len(missing), len(wanted) - len(missing))
            with tqdm(total=len(missing), desc="scoring", unit="answer", mininterval=5) as progress:
                for i in range(0, len(missing), CHUNK):
                    keys = [key for _, key in missing[i : i + CHUNK]]
                    outcomes = score([wanted[key] for key in keys])
                    new = dict(zip(keys, outcomes, strict=True))
                    append_to_journal(store, {key: _as_json(outcome) for key, outcome in new.items()})
                    # As if they were read back.
                    kept |= {key: _from_json(_as_json(outcome)) for key, outcome in new.items()}
                    progress.update(len(keys))
    return [kept[content(item)] for item in items]


def _as_json(outcome: Outcome) -> Any:
    if outcome is None:
        return None
    # Empty fields come back as defaults.
    return {key: value for key, value in outcome._asdict().items() if value or key in ("metrics", "reason")}


def _from_json(value: Any) -> Outcome:
    if value is None:
        return None
    return Failed(**value) if "reason" in value else Scored(**value)


def _kept_outcome(_: str, value: Any) -> Outcome:
    """An outcome as a store holds it.

    Raises:
        ValueError, TypeError: if it is none.
    """
    outcome = _from_json(value)
    if isinstance(outcome, Failed):
        _TEXT.validate_python(outcome.reason)
    elif outcome is not None:
        for numbers in (outcome.metrics, outcome.parts, outcome.usage):
            _NUMBERS.validate_python(numbers)
    return outcome


_TEXT, _NUMBERS = TypeAdapter(str), TypeAdapter(dict[str, float])
