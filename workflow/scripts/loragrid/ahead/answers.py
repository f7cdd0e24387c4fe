"""Answers that wait for a scorer: those of the other score jobs of this run of Snakemake that could start now."""

from __future__ import annotations

from collections.abc import Iterator

from loragrid.ahead.plan import find_plan
from loragrid.ahead.told import Told
from loragrid.errors import UserError
from loragrid.layout import Evaluation
from loragrid.records import Example, Prediction, read_records
from loragrid.scoring.protocol import Item, items_of


def waiting_items(own: Told) -> Iterator[Item]:
    """The answers that other jobs are to score with the same scorer, and that are there already.

    Args:
        own: what the job was told that scores them. Its resource `jobs_per_process` says for how many jobs it works.
    """
    plan, limit = find_plan(scorer=own.wildcards["scorer"]), int(own.resources.get("jobs_per_process", 0))
    if plan is None:
        return
    for told in plan.jobs:
        if limit == 1:
            return
        # Predictions that another run of Snakemake will make anew are no matter: an answer is scored, whoever gave it.
        if told.output == own.output or plan.is_done(told) or not all(map(plan.is_made, told.inputs)):
            continue
        try:
            items = _items(told)
        except (UserError, OSError, KeyError):
            # Its own job will say what is wrong with it.
            continue
        yield from items
        limit -= 1


def _items(told: Told) -> list[Item]:
    test = told.input.get("test")
    examples = {example.id: example for example in read_records(test, Example)} if test else None
    place = Evaluation.from_wildcards(told.wildcards).place
    return [item for of_one in items_of(read_records(told.input["predictions"], Prediction), place, examples) for item in of_one]
