"""The tables about scorers."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from loragrid.analysis.scorer_study.answers import Answered
from loragrid.analysis.scorer_study.length import differences_at_equal_length
from loragrid.analysis.scorer_study.pairs import correlations
from loragrid.analysis.scorer_study.people import agreement_with_people, corrected_by_people
from loragrid.analysis.settings import AnalysisSettings

TABLES = ("scorers", "equal_length", "judge_agreement", "judge_corrected")


def study_scorers(datasets: Sequence[Answered], settings: AnalysisSettings) -> dict[str, pd.DataFrame]:
    """The tables about scorers, by their names in `layout.ANALYSE`."""
    return {
        "scorers": correlations(datasets),
        "equal_length": differences_at_equal_length(datasets),
        "judge_agreement": agreement_with_people(datasets, settings),
        "judge_corrected": corrected_by_people(datasets),
    }
