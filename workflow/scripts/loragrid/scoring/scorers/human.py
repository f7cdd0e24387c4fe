"""The scorer `human`: filled sheets of a human evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from loragrid.errors import UserError, unknown_name
from loragrid.layout import RESULTS
from loragrid.runtime.job import log
from loragrid.scoring.criteria import have_one_scale, means, metrics_of_criteria
from loragrid.scoring.filled_sheets import RatedRow, check_answers, filled_by_another, read_filled_sheet
from loragrid.scoring.human_sheets import asked_of, row_id, seal
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import CriteriaOf, Named, ScorerInputs, ScorerSettings
from loragrid.sections import Name


class HumanScorer(ScorerSettings):
    """Ratings by people: filled sheets of a human evaluation. Each criterion is a metric, and so is their `mean`, if their values
    lie on one scale.
    """

    type: Literal["human"] = Field(description="Chooses this scorer.")
    evaluation: Name = Field(description="Which, from `human_evaluations`.")
    sheets: list[str] = Field(min_length=1, description="Filled sheets, CSV or XLSX; each file has the name of its annotator.")

    may_leave_out = True
    kind = "people"

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        assert inputs.human_evaluation is not None
        return human(self.evaluation, inputs.human_evaluation.seed, inputs.human_evaluation.criteria, self.sheets)

    def metrics_of_example(self, criteria: CriteriaOf) -> tuple[str, ...]:
        own = criteria.get(self.evaluation, {})
        return metrics_of_criteria(own, have_one_scale(own.values()))

    def limits_of_metrics(self, criteria: CriteriaOf) -> dict[str, tuple[float, float]]:
        limits = {name: (min(values), max(values)) for name, values in criteria.get(self.evaluation, {}).items()}
        # The mean is there if all criteria have the same.
        return {name: limits.get(name) or next(iter(limits.values())) for name in self.metrics_of_example(criteria)}

    def files(self) -> dict[str, str]:
        return {f"sheets[{i}]": path for i, path in enumerate(self.sheets)}

    @property
    def human_evaluation(self) -> str:
        return self.evaluation

    def problems(self, config: Named) -> Iterator[str]:
        if self.evaluation not in config.human_evaluations:
            yield unknown_name("evaluation", "human evaluation", self.evaluation, config.human_evaluations)
            return
        annotators = config.human_evaluations[self.evaluation].annotators
        given: set[str] = set()
        for key, path in self.files().items():
            if Path(path).stem not in annotators:
                yield unknown_name(key, "annotator", Path(path).stem, annotators)
            if Path(path).parts[:1] == (RESULTS,):
                yield f"{key}: '{path}' is in results/, where the workflow writes blank sheets; give a copy outside of it."
            if Path(path).stem in given:
                yield f"{key}: '{path}' is another sheet of '{Path(path).stem}'; give one for each annotator."
            given.add(Path(path).stem)

    def problems_in_files(self, config: Named) -> Iterator[str]:
        evaluation = config.human_evaluations[self.evaluation]
        for key, path in self.files().items():
            if Path(path).is_file():
                try:
                    rows = read_filled_sheet(path, evaluation.values, seal(self.evaluation, evaluation.seed), self.evaluation)
                    swapped = filled_by_another(path, self.evaluation, rows, evaluation.annotators)
                    yield from ([f"{key}: {swapped}"] if swapped else [])
                except UserError as error:
                    yield from (f"{key}: {line}" for line in str(error).splitlines())


def human(evaluation: str, seed: int, criteria: Mapping[str, Sequence[float]], sheets: Sequence[str]) -> ScorerFunction:
    """The mean of an answer's ratings by its annotators, for each criterion, and the `mean` over all criteria.

    An answer that nobody rates has no score, and neither has a criterion that nobody rates. If a criterion is missing, there is
    no `mean` either, because it would mean something else than for other answers. Nor is there one of criteria whose values lie
    on different scales.

    Args:
        evaluation: name of the human evaluation.
        seed: of the human evaluation.
        criteria: the values of each criterion that can be chosen.
        sheets: the filled sheets, each named after its annotator.

    Raises:
        UserError: with a sentence for each mistake in the sheets: a rating that cannot be chosen, a row from another evaluation.
    """
    by_annotator: dict[str, dict[str, RatedRow]] = {}
    problems: list[str] = []
    for path in sheets:
        annotator = Path(path).stem
        if annotator in by_annotator:
            problems.append(f"{path}: there is another sheet of '{annotator}'; give one for each annotator.")
            continue
        try:
            by_annotator[annotator] = read_filled_sheet(path, criteria, seal(evaluation, seed))
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))

    def score(items: Sequence[Item]) -> list[Outcome]:
        ids = [row_id(evaluation, seed, item) for item in items]
        texts = dict(zip(ids, (item.prediction for item in items), strict=True))
        for path in sheets:
            rows = by_annotator[Path(path).stem]
            _log_counts(evaluation, Path(path).stem, rows, texts)
            check_answers(path, rows, texts)
        return [_outcome(id_, {who: rows[id_] for who, rows in by_annotator.items() if id_ in rows}, criteria) for id_ in ids]

    return score


def _log_counts(evaluation: str, annotator: str, rows: Mapping[str, RatedRow], texts: Mapping[str, str]) -> None:
    log.info("%s: %d of %d rated rows are about these answers", annotator, len(rows.keys() & texts.keys()), len(rows))
    if asked := asked_of(evaluation, annotator, rows):
        log.info("%s: %d of the %d rows that the sheet has now are rated", annotator, len(asked.keys() & rows.keys()), len(asked))
        if surplus := len(rows.keys() - asked.keys()):
            log.info("%s: %d rated rows are no longer in the sheet, such as those of other answers", annotator, surplus)


def _outcome(id_: str, rows: Mapping[str, RatedRow], criteria: Mapping[str, Sequence[float]]) -> Outcome:
    """The score of an answer.

    Args:
        rows: the ratings by each of its annotators.
    """
    if not rows:
        return None
    given = {name: [row.ratings[name] for row in rows.values() if name in row.ratings] for name in criteria}
    metrics = means(given, have_one_scale(criteria.values()))
    return Scored(
        metrics,
        detail="\n".join(f"{annotator}: {row.comment}" for annotator, row in rows.items() if row.comment) or None,
        parts={f"{name}/{who}/{id_}": value for who, row in rows.items() for name, value in row.ratings.items()},
        left_out={*criteria, "mean"} - metrics.keys(),
    )
