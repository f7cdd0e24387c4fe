"""The results of ways that are compared: on the questions to which all of them have one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.ways import Members
from loragrid.analysis.selection.candidates import Way
from loragrid.analysis.statistics.results import Results, Sums


def has_result(measured: Measured, members: Members) -> bool:
    """Whether each seed of a way has a result on some question."""
    rows = [measured.rows.get(key) for key in members.values()]
    return all(row is not None and bool(measured.has([row]).any()) for row in rows)


def results_of(measured: Measured, ways: Mapping[Way, Members]) -> dict[Way, Results | Sums]:
    """The results of each way in a metric, a row for each seed in order, on the questions to which all of them have one.

    Without a way if there is no such question.

    Args:
        ways: that have results.
    """
    rows = {way: [measured.rows[members[seed]] for seed in sorted(members)] for way, members in ways.items()}
    columns = np.flatnonzero(measured.has([row for of_way in rows.values() for row in of_way]))
    if not len(columns):
        return {}
    return {way: measured.results(measured.values[of_way], columns, of_way) for way, of_way in rows.items()}
