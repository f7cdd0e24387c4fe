"""The checks. Each looks for results that one mended fault may have touched.

A version of a stage is raised where the configuration tells which results a fault has touched. Where only data or a model's
files tell, right results stay valid, and a check finds those that may be wrong. To add a check: raise `MENDED` in
`runtime/job.py`, write a function that takes the number before which results may be wrong, and list it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from loragrid.planning.doubts import of_data, of_models, of_scores
from loragrid.planning.doubts.results import Doubt


class Check(NamedTuple):
    """How to find the results that one mended fault may have touched."""

    name: str
    what: str
    """What may be wrong, for the reader."""
    since: int
    """Results of versions in which so many faults are mended are right: their manifests say `mended`."""
    find: Callable[[int], Iterator[Doubt]]


CHECKS = (
    Check("values", "null, bytes, a list or a number of the data was read as another text", 1, of_data.misread_values),
    Check("control tokens", "a text of the data was read as a control token of the model", 1, of_data.control_tokens),
    Check("end tokens", "answers have the token that ends them in their text", 1, of_models.end_tokens),
    Check("thoughts", "thoughts were scored as answers", 1, of_models.thoughts),
    Check("dates", "prompts hold the day on which they were written, and differ by day", 1, of_models.dates_in_prompts),
    Check("lost questions", "a chat template left the question out of prompts", 1, of_models.lost_questions),
    Check("weights", "weights that the model's files lack were drawn at random", 1, of_models.made_up_weights),
    Check("packing", "examples in one row may have seen each other in training", 1, of_models.packed_without_need),
    Check("contradictions", "a judge's reply that contradicts itself was scored", 1, of_scores.contradicting_replies),
)


class Row(NamedTuple):
    """A line of the list."""

    file: str
    check: str
    what: str
    evidence: str


def find_doubts(checks: tuple[Check, ...] = CHECKS) -> list[Row]:
    """All results in doubt, by check. A result is there once for each check."""
    rows = [Row(found.file, check.name, check.what, found.evidence) for check in checks for found in check.find(check.since)]
    return list(dict.fromkeys(rows))
