"""What a score job is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from loragrid.scoring.human_sheets import HumanEvaluation
from loragrid.scoring.scorer import RatedCriteria, ScorerSettings
from loragrid.sections import StageSettings


class ScoreSettings(StageSettings):
    """The parameters of the rule `score`: all that decides on its rows, besides the files that it reads.

    A job takes settings that decide nothing, such as how many requests are sent at a time, from the configuration, by
    `registry.scorer_of`.
    """

    scorer: dict[str, Any]
    """The scorer's `decisive_settings`; for a scorer that reads filled sheets, also their `human_evaluation`."""
    metrics: tuple[str, ...]
    """The metrics that the scorer gives for an example."""

    @classmethod
    def of(
        cls, scorer: ScorerSettings, human_evaluations: Mapping[str, HumanEvaluation], version: int, has_parts: bool = False
    ) -> Self:
        """What the jobs of a scorer are told.

        Args:
            version: of the stage. That of the jobs is higher by the edition of the scorer.
            has_parts: as in `ScorerSettings.edition_for`.
        """
        criteria = {name: evaluation.values for name, evaluation in human_evaluations.items()}
        rated = {}
        if scorer.human_evaluation is not None:
            evaluation = human_evaluations[scorer.human_evaluation]
            rated = {"human_evaluation": RatedCriteria(seed=evaluation.seed, criteria=evaluation.values).model_dump()}
        return cls(
            version=version + scorer.edition_for(has_parts),
            scorer=scorer.decisive_settings() | rated,
            metrics=scorer.metrics_of_example(criteria),
        )

    @property
    def human_evaluation(self) -> RatedCriteria | None:
        """The settings that decide on the scores from filled sheets."""
        values = self.scorer.get("human_evaluation")
        return None if values is None else RatedCriteria.model_validate(values)
