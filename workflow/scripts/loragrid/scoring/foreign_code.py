"""Functions shared by scorers that run somebody else's code: one answer at a time, what is a number, which way is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Real
from typing import Any

from loragrid.errors import UserError, unknown_name
from loragrid.runtime.job import log
from loragrid.runtime.user_code import reason
from loragrid.scoring.protocol import Failed, Item, Outcome


def score_each(what: str, items: Sequence[Item], score_one: Callable[[Item], Outcome]) -> list[Outcome]:
    """The outcome of each answer by itself. An answer on which the code raises has failed.

    Args:
        what: names the code.

    Raises:
        UserError: if the code raises on every answer, or if `score_one` says that something else is wrong.
    """
    outcomes: list[Outcome] = []
    for item in items:
        try:
            outcomes.append(score_one(item))
        except UserError:
            raise
        except Exception as error:
            log.info("%s failed on example %s", what, item.id, exc_info=True)
            outcomes.append(Failed(reason(error)))
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Failed)]
    if len(reasons) == len(items):
        raise UserError(f"{what} failed on every example; on the first: {reasons[0]}")
    return outcomes


def unknown_lower_metrics(lower_is_better: Iterable[str], metrics: Sequence[str]) -> Iterator[str]:
    """One sentence for each metric that `lower_is_better` names but the list of metrics does not."""
    for metric in lower_is_better:
        if metric not in metrics:
            yield unknown_name("lower_is_better", "metric", metric, metrics)


def as_number(value: Any) -> float | None:
    """A number of Python, numpy or torch, truth values included; None for anything else."""
    if getattr(value, "ndim", None) == 0:
        value = value.item()
    return float(value) if isinstance(value, Real) else None
