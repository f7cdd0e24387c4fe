"""How far annotators agree about the answers that several of them rated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from loragrid.analysis.statistics.levels import Level
from loragrid.errors import UserError
from loragrid.layout import BASELINE, Dataset, Evaluation
from loragrid.scoring.human_sheets import HumanEvaluation, choose, rows_of_annotator
from loragrid.sections import Section

if TYPE_CHECKING:
    import pandas as pd

Ratings = Mapping[str, Mapping[str, float]]
"""For each rated answer, the rating by each annotator."""


class RatedSheets(Section):
    """The sheets that a scorer of human ratings reads."""

    evaluation: str = Field(description="Name of the human evaluation.")
    settings: HumanEvaluation = Field(description="Its settings.")


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


Asked = Mapping[str, set[str]]
"""The rows of each annotator's sheet."""


def annotator_agreement(
    scores: pd.DataFrame, levels: Mapping[str, Mapping[str, Level]], asked: Mapping[str, Asked]
) -> pd.DataFrame:
    """One row per scorer of human ratings and criterion: how far the annotators agree, and how much of their sheets is `rated`.

    Args:
        levels: of the criteria, by scorer.
        asked: by scorer, as far as it is known.
    """
    import pandas as pd

    rows = []
    for scorer, of_criteria in levels.items():
        ratings = ratings_of(scores[scores["scorer"] == scorer])
        for row in agreement(ratings, of_criteria):
            counts = rated_of_asked(ratings.get(row.criterion, {}), asked[scorer]) if scorer in asked else (pd.NA, pd.NA)
            rows.append({"scorer": scorer, **row._asdict(), **dict(zip(COUNTS, counts, strict=True))})
    return pd.DataFrame(rows, columns=["scorer", *Agreement._fields, *COUNTS]).astype(dict.fromkeys(COUNTS, "Int64"))


COUNTS = ("rated", "asked")


def rated_of_asked(ratings: Ratings, asked: Asked) -> tuple[int, int]:
    """How many rows of all sheets have a rating, and how many rows there are."""
    rated = sum(annotator in ratings.get(row, {}) for annotator, rows in asked.items() for row in rows)
    return rated, sum(map(len, asked.values()))


def asked_rows(sheets: RatedSheets, predictions: Sequence[str | Path], tests: Sequence[str | Path]) -> Asked | None:
    """The rows of the sheets of a human evaluation; None if predictions are not there.

    Args:
        predictions: all of the grid.
        tests: all test sets.
    """
    paths = {Evaluation.of_predictions(path): str(path) for path in predictions}
    try:
        chosen = choose(sheets.evaluation, sheets.settings, [one for one in paths if one.base_model != BASELINE])
    except UserError:
        return None
    datasets = {one.dataset for one in chosen}
    of_data = [str(path) for path in tests if Dataset.of(path) in datasets]
    answers = [paths[one] for one in chosen]
    return {
        annotator: {row.id for row in rows_of_annotator(sheets.evaluation, sheets.settings, annotator, answers, of_data)}
        for annotator in sheets.settings.annotators
    }


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
        kappas, alpha = chance_corrected(shared, annotators, level) if shared else ([], math.nan)
        rows.append(
            Agreement(
                criterion=criterion,
                level=level,
                items=len(shared),
                annotators=len(annotators),
                percent_agreement=100 * _mean(map(_share_of_equal_pairs, shared.values())),
                mean_kappa=_mean(kappa for kappa in kappas if not math.isnan(kappa)),
                alpha=alpha,
            )
        )
    return rows


def chance_corrected(ratings: Ratings, annotators: Sequence[str], level: Level) -> tuple[list[float], float]:
    """Cohen's kappa of each two annotators, and Krippendorff's alpha of all.

    For kappa, ordinal ratings count by their place among those that occur.
    """
    import numpy as np

    from loragrid.analysis.statistics.rater_agreement import cohens_kappa, contingency, distances_of, krippendorffs_alpha

    table = np.array([[given.get(annotator, math.nan) for given in ratings.values()] for annotator in annotators])
    values = np.unique(table[np.isfinite(table)])
    distances, size = distances_of(values, level), len(values)
    kappas = []
    for first, second in combinations(table, 2):
        has_both = np.isfinite(first) & np.isfinite(second)
        table_of_two = contingency(np.searchsorted(values, first[has_both]), np.searchsorted(values, second[has_both]), size)
        kappas.append(cohens_kappa(table_of_two, distances))
    return kappas, krippendorffs_alpha(table, level)


def _share_of_equal_pairs(given: Mapping[str, Any]) -> float:
    return _mean(float(a == b) for a, b in combinations(given.values(), 2))


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else math.nan
