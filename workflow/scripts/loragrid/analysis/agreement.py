"""How far annotators agree about the answers that several of them rated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

Ratings = Mapping[str, Mapping[str, float]]
"""For each rated answer, the rating by each annotator."""


Level = Literal["nominal", "ordinal", "interval"]


class Agreement(NamedTuple):
    """A row of the table.

    Undefined values are NaN: all values if there are no ratings to compare, chance-corrected values if all ratings are the same.
    """

    criterion: str
    level: str
    items: int
    """Answers that at least two annotators rated; only these count."""
    annotators: int
    """Annotators who rated at least one answer."""
    percent_agreement: float
    """0 to 100: the share of equal pairs among an answer's ratings, as the mean over answers."""
    mean_kappa: float
    """-1 to 1: Cohen's kappa, the mean over pairs of annotators."""
    alpha: float
    """Krippendorff's, at most 1; 0 is chance."""


def annotator_agreement(scores: pd.DataFrame, levels: Mapping[str, Mapping[str, Level]]) -> pd.DataFrame:
    """One row per scorer of human ratings and criterion: how far the annotators agree.

    Args:
        levels: of the criteria, by scorer.
    """
    import pandas as pd

    rows = [
        {"scorer": scorer, **row._asdict()}
        for scorer, of_criteria in levels.items()
        for row in agreement(ratings_of(scores[scores["scorer"] == scorer]), of_criteria)
    ]
    return pd.DataFrame(rows, columns=["scorer", *Agreement._fields])


def ratings_of(scores: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """For each criterion, the ratings in the score rows of one human evaluation.

    If several models gave the same answer, it was rated once, and comes once here.
    """
    ratings: dict[str, dict[str, dict[str, float]]] = {}
    for parts in scores["parts"]:
        for key, value in parts.items():
            criterion, annotator, row = key.split("/")
            ratings.setdefault(criterion, {}).setdefault(row, {})[annotator] = value
    return ratings


def agreement(ratings: Mapping[str, Ratings], levels: Mapping[str, Level]) -> list[Agreement]:
    """The agreement on each criterion.

    Args:
        levels: what the distance between the ratings of a criterion means.
    """
    rows = []
    for criterion, level in levels.items():
        shared = {item: given for item, given in ratings.get(criterion, {}).items() if len(given) > 1}
        annotators = sorted({annotator for given in shared.values() for annotator in given})
        kappas = [cohens_kappa(_pairs(shared, *two), _distance(shared, level)) for two in combinations(annotators, 2)]
        rows.append(
            Agreement(
                criterion=criterion,
                level=level,
                items=len(shared),
                annotators=len(annotators),
                percent_agreement=100 * _mean(map(_share_of_equal_pairs, shared.values())),
                mean_kappa=_mean(kappa for kappa in kappas if not math.isnan(kappa)),
                alpha=krippendorffs_alpha(shared, level),
            )
        )
    return rows


def krippendorffs_alpha(ratings: Ratings, level: Level) -> float:
    """Krippendorff's alpha (Krippendorff 2018, Content Analysis, chapter 12), by the package `krippendorff`.

    NaN if all ratings are the same.
    """
    if len({value for given in ratings.values() for value in given.values()}) < 2:
        return math.nan
    import krippendorff

    annotators = sorted({annotator for given in ratings.values() for annotator in given})
    table = [[given.get(annotator, math.nan) for given in ratings.values()] for annotator in annotators]
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level))


def cohens_kappa(pairs: list[tuple[float, float]], distance: Callable[[float, float], float]) -> float:
    """Cohen's kappa (1960), weighted (1968): 1 minus the ratio of two annotators' mean distance to the mean distance by chance.

    NaN if chance alone would let them agree.
    """
    # The weights of scikit-learn are distances between places: for `interval` they are wrong if ratings are not evenly spaced.
    first, second = (Counter(ratings) for ratings in zip(*pairs, strict=True)) if pairs else (Counter(), Counter())
    by_chance = sum(m * n * distance(a, b) for a, m in first.items() for b, n in second.items())
    return 1 - len(pairs) * sum(distance(a, b) for a, b in pairs) / by_chance if by_chance else math.nan


def _pairs(ratings: Ratings, first: str, second: str) -> list[tuple[float, float]]:
    """The ratings of two annotators about the same answers."""
    return [(given[first], given[second]) for given in ratings.values() if first in given and second in given]


def _distance(ratings: Ratings, level: Level) -> Callable[[float, float], float]:
    """The distance of ratings. Nominal: equal or not. Else squared; ordinal ratings count by place among ratings that occur."""
    if level == "nominal":
        return lambda a, b: float(a != b)
    if level == "interval":
        return lambda a, b: (a - b) ** 2
    places = {value: i for i, value in enumerate(sorted({value for given in ratings.values() for value in given.values()}))}
    return lambda a, b: (places[a] - places[b]) ** 2


def _share_of_equal_pairs(given: Mapping[str, Any]) -> float:
    return _mean(float(a == b) for a, b in combinations(given.values(), 2))


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
