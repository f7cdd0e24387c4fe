"""The table of choices: what validation chose, what that scores on test data, what choosing on test data would have claimed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import INTEGERS, METRIC
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.ways import Members, Way
from loragrid.analysis.selection.candidates import GIVEN, TRAINED, candidates_among
from loragrid.analysis.selection.choice import ROUNDING, Choice, choose
from loragrid.analysis.selection.results import has_result, results_of
from loragrid.analysis.selection.settings import VALIDATION_LOSS, Selection
from loragrid.analysis.selection.validation import Validation
from loragrid.analysis.settings import FactsByScorer
from loragrid.analysis.statistics.intervals import difference_of, mean_of
from loragrid.analysis.statistics.results import Estimate, Results, Sums
from loragrid.layout import BASE, Dataset

CHOICE = ["by", "ways", "chosen", "validation_mean", "validation_n", "ties", "note"]

COLUMNS = [
    *(*GIVEN, *TRAINED, *CHOICE, *METRIC, "lower_is_better"),
    *("chosen_mean", "low", "high"),
    *("best_by_test", "best_mean", "best_ties"),
    *("optimism", "optimism_low", "optimism_high"),
    *("n", "clusters", "seeds"),
]
"""The columns of `tables/selection.csv`: a row per choice and metric.

The first columns are axes: those of the choice are empty, since the ways have several values there, as are those that a base
model has not. `chosen` and `best_by_test` name these values. `best_ties` counts the ways that
score as the best does. `optimism` is by how much the best by test looks better than the chosen way.
"""

_WHOLE = ("ways", "validation_n", "ties", "best_ties", "n", "clusters", "seeds")


class Contest(NamedTuple):
    """Ways between which is chosen."""

    given: dict[str, Any]
    """The axes that they have in common."""
    members: dict[tuple[Hashable, ...], Members]
    """The evaluations of each way, by its values on the axes of the choice."""

    @property
    def dataset(self) -> Dataset:
        """What they are tested on."""
        return Dataset(self.given["task"], self.given["sample_type"])

    @property
    def is_trained(self) -> bool:
        """Whether they are kinds of run."""
        return self.given.get("trained_task") is not None


def contests(selection: Selection, ways: Mapping[Way, Members], config_of: Mapping[str, str]) -> list[Contest]:
    """The ways between which is chosen. Trivial baselines and predictions from elsewhere compete with nobody.

    Args:
        ways: all ways, in the order of the grid.
        config_of: the config that each setting of a sweep belongs to.
    """
    ours = [way for way in ways if way.is_trained or way.way == BASE]
    return [
        Contest(found.given, {values: ways[ours[place]] for values, (place,) in found.ways.items()})
        for found in candidates_among([way._asdict() for way in ours], selection.choose, config_of)
    ]


def selection_table(
    selection: Selection,
    ways: Mapping[Way, Members],
    measured: Sequence[Measured],
    validation: Validation,
    facts: FactsByScorer,
    config_of: Mapping[str, str],
) -> pd.DataFrame:
    """One row per choice and metric; or one without a metric that says why nothing could be chosen.

    A way competes that has answered test or validation examples: in an unfinished grid it may lack the others.

    Args:
        ways, measured: of the test examples.
        config_of: the config that each setting of a sweep belongs to.
    """
    rows = [
        row
        for contest in contests(selection, _together(ways, validation.ways), config_of)
        for tested in [[one for one in measured if (one.task, one.sample_type) == contest.dataset]]
        for by in selection.by
        if _can_choose(by, contest, [*tested, *validation.measured])
        for choice in [_choice(by, contest, validation, facts)]
        for row in _rows(selection, contest, by, choice, tested)
    ]
    whole = {"nb_samples": INTEGERS["nb_samples"], **dict.fromkeys(_WHOLE, "Int64"), "lower_is_better": "boolean"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(whole)


def _together(ways: Mapping[Way, Members], others: Mapping[Way, Members]) -> dict[Way, Members]:
    """The ways of both, each with the evaluations that either has."""
    return {way: {**ways.get(way, {}), **others.get(way, {})} for way in (*ways, *others)}


def _can_choose(by: str, contest: Contest, measured: Iterable[Measured]) -> bool:
    """Whether something decides between these ways: a metric of their data set, or, for runs, the validation loss."""
    if by == VALIDATION_LOSS:
        return contest.is_trained
    return any((one.name, one.task, one.sample_type) == (by, *contest.dataset) for one in measured)


def _choice(by: str, contest: Contest, validation: Validation, facts: FactsByScorer) -> Choice:
    """What validation chose."""
    results = validation.of(by, contest.dataset, contest.members)
    scorer, _, metric = by.partition("/")
    return choose(results, by == VALIDATION_LOSS or (scorer in facts and metric in facts[scorer].lower_is_better))


def _rows(
    selection: Selection, contest: Contest, by: str, choice: Choice, measured: Sequence[Measured]
) -> Iterator[dict[str, Any]]:
    told = contest.given | {"by": by, "ways": len(contest.members)}
    if choice.way is None or choice.validated is None:
        yield told | {"note": choice.why_not}
        return
    found = {one.name: (one, results) for one in measured if (results := _tested(one, contest))}
    if not found or by not in (VALIDATION_LOSS, *found):
        yield told | {"note": _why_untested(contest, [one for one in measured if by in (VALIDATION_LOSS, one.name)])}
        return
    told |= {
        "chosen": named(selection, choice.way),
        "validation_mean": choice.validated.value,
        "validation_n": choice.validated.n,
        "ties": choice.ties,
        "note": f"the first of {choice.ties} ways with the same result" if choice.ties > 1 else None,
    }
    for one, results in found.values():
        yield told | _row(selection, one, contest, choice.way, results)


def _why_untested(contest: Contest, measured: Sequence[Measured]) -> str:
    """Why a choice cannot be reported.

    Args:
        measured: the test results that it might be reported by.
    """
    lacking = [members for members in contest.members.values() if not any(has_result(one, members) for one in measured)]
    if lacking:
        return f"{len(lacking)} of {len(contest.members)} ways have no result on test data"
    return "no test example has results of all ways"


def named(selection: Selection, values: Sequence[Hashable]) -> str:
    """A way by its values on the axes of the choice."""
    return ", ".join(f"{axis}={value}" for axis, value in zip(selection.choose, values, strict=True))


def _tested(measured: Measured, contest: Contest) -> dict[tuple[Hashable, ...], Results | Sums]:
    """The results of each way in a metric, on the test questions to which all of them have a result; none if one has none."""
    if not all(has_result(measured, members) for members in contest.members.values()):
        return {}
    return results_of(measured, contest.members)


def _row(
    selection: Selection,
    measured: Measured,
    contest: Contest,
    chosen: tuple[Hashable, ...],
    tested: Mapping[tuple[Hashable, ...], Results | Sums],
) -> dict[str, Any]:
    """What is known of a choice in one metric on test examples."""
    sign = -1 if measured.lower_is_better else 1
    means = {values: mean_of(results) for values, results in tested.items()}
    most = max(sign * mean.value for mean in means.values())
    equal = [values for values, mean in means.items() if math.isclose(sign * mean.value, most, rel_tol=ROUNDING)]
    # Of ways with the same result, the chosen one is the best.
    best = chosen if chosen in equal else equal[0]
    own = means[chosen]
    row = {
        **{"scorer": measured.scorer, "metric": measured.metric, "lower_is_better": measured.lower_is_better},
        **{"chosen_mean": own.value, "low": own.low, "high": own.high},
        **{"best_by_test": named(selection, best), "best_mean": means[best].value, "best_ties": len(equal)},
        **{"optimism": 0.0, "n": own.questions, "clusters": own.clusters, "seeds": own.seeds if contest.is_trained else 0},
    }
    if best == chosen:
        return row
    seeds = [sorted(contest.members[values]) for values in (best, chosen)]
    found = difference_of(tested[best], tested[chosen], matched_seeds=seeds[0] == seeds[1])
    return row | dict(zip(("optimism", "optimism_low", "optimism_high"), _signed(found, sign), strict=True))


def _signed(found: Estimate, sign: int) -> tuple[float, float, float]:
    """A difference and its interval, or both the other way round."""
    low, high = sorted((sign * found.low, sign * found.high)) if not math.isnan(found.low) else (found.low, found.high)
    return sign * found.value, low, high
