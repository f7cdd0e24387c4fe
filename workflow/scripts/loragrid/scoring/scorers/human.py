"""The scorer `human`: filled sheets of a human evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from loragrid.data.values import plain
from loragrid.errors import UserError, unknown_name
from loragrid.layout import RESULTS
from loragrid.runtime.commands import command
from loragrid.runtime.job import log
from loragrid.runtime.spreadsheets import UncomputedFormula, is_blank, read_sheet, to_number
from loragrid.runtime.template_values import as_text
from loragrid.scoring.criteria import means, metrics_of_criteria
from loragrid.scoring.human_sheets import COMMENT, ID, row_id, seal
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import Named, ScorerInputs, ScorerSettings
from loragrid.sections import Name


class HumanScorer(ScorerSettings):
    """Ratings by people: filled sheets of a human evaluation. Each criterion is a metric, and so is their `mean`."""

    type: Literal["human"] = Field(description="Chooses this scorer.")
    evaluation: Name = Field(description="Which, from `human_evaluations`.")
    sheets: list[str] = Field(min_length=1, description="Filled sheets, CSV or XLSX; each file has the name of its annotator.")

    may_leave_out = True

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        assert inputs.human_evaluation is not None
        return human(self.evaluation, inputs.human_evaluation.seed, inputs.human_evaluation.criteria, self.sheets)

    def metrics_of_example(self, criteria: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        return metrics_of_criteria(criteria.get(self.evaluation, ()))

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
        for key, path in self.files().items():
            if Path(path).stem not in annotators:
                yield unknown_name(key, "annotator", Path(path).stem, annotators)
            if Path(path).parts[:1] == (RESULTS,):
                yield f"{key}: '{path}' is in results/, where the workflow writes blank sheets; give a copy outside of it."


class RatedRow(NamedTuple):
    """One annotator's ratings of one answer."""

    ratings: Mapping[str, float]
    """The ratings by criterion, without criteria that were left empty."""
    comment: str


def human(evaluation: str, seed: int, criteria: Mapping[str, Sequence[float]], sheets: Sequence[str]) -> ScorerFunction:
    """The mean of an answer's ratings by its annotators, for each criterion, and the `mean` over all criteria.

    An answer that nobody rates has no score, and neither has a criterion that nobody rates. If a criterion is missing, there is
    no `mean` either, because it would mean something else than for other answers.

    Args:
        evaluation: name of the human evaluation.
        seed: of the human evaluation.
        criteria: the values of each criterion that can be chosen.
        sheets: the filled sheets, each named after its annotator.

    Raises:
        UserError: naming file, row and column of a rating that cannot be chosen, or of a row from another evaluation.
    """
    by_annotator: dict[str, dict[str, RatedRow]] = {}
    for path in sheets:
        annotator = Path(path).stem
        if annotator in by_annotator:
            raise UserError(f"{path}: there is another sheet of '{annotator}'; give one for each annotator.")
        by_annotator[annotator] = read_filled_sheet(path, criteria, seal(evaluation, seed))

    def score(items: Sequence[Item]) -> list[Outcome]:
        ids = [row_id(evaluation, seed, item) for item in items]
        for annotator, rows in by_annotator.items():
            log.info("%s: %d of %d rated rows are about these answers", annotator, len(rows.keys() & set(ids)), len(rows))
        return [
            _outcome(id_, {who: rows[id_] for who, rows in by_annotator.items() if id_ in rows}, tuple(criteria)) for id_ in ids
        ]

    return score


def read_filled_sheet(path: str, criteria: Mapping[str, Sequence[float]], beginning: str) -> dict[str, RatedRow]:
    """The rows of a sheet that hold a rating, by their ids.

    Args:
        criteria: the values of each criterion that can be chosen.
        beginning: the text that all ids of the evaluation begin with.
    """
    rated: dict[str, RatedRow] = {}
    for number, row in read_sheet(path, [ID, *criteria]):
        filled = {name: row[name] for name in criteria if not is_blank(row[name])}
        if is_blank(row[ID]):
            if filled:
                raise UserError(f"{path}, row {number}, column '{ID}': the id is missing; expected that of the blank sheet.")
            continue
        id_ = str(row[ID]).strip()
        if not id_.startswith(f"{beginning}_"):
            raise UserError(
                f"{path}, row {number}, column '{ID}': '{id_}' is no row of this human evaluation with this seed; "
                f"expected the ids of the sheets that '{command('human_sheets')}' writes."
            )
        for name, cell in filled.items():
            if isinstance(cell, UncomputedFormula):
                hint = "open the sheet in a spreadsheet program and save it, or give the value itself"
                raise UserError(f"{path}, row {number}, column '{name}': the formula '{cell}' has no saved value; {hint}.")
            if to_number(cell) not in criteria[name]:
                values = ", ".join(f"{value:g}" for value in criteria[name])
                raise UserError(f"{path}, row {number}, column '{name}': '{cell}' cannot be chosen; expected one of {values}.")
        if not filled:
            continue
        if id_ in rated:
            raise UserError(f"{path}, row {number}, column '{ID}': '{id_}' is rated in a row above already.")
        ratings = {name: value for name, cell in filled.items() if (value := to_number(cell)) is not None}
        rated[id_] = RatedRow(ratings, "" if is_blank(row.get(COMMENT)) else as_text(plain(row[COMMENT])).strip())
    return rated


def _outcome(id_: str, rows: Mapping[str, RatedRow], criteria: Sequence[str]) -> Outcome:
    """The score of an answer.

    Args:
        rows: the ratings by each of its annotators.
    """
    if not rows:
        return None
    given = {name: [row.ratings[name] for row in rows.values() if name in row.ratings] for name in criteria}
    metrics = means(given)
    return Scored(
        metrics,
        detail="\n".join(f"{annotator}: {row.comment}" for annotator, row in rows.items() if row.comment) or None,
        parts={f"{name}/{who}/{id_}": value for who, row in rows.items() for name, value in row.ratings.items()},
        left_out={*criteria, "mean"} - metrics.keys(),
    )
