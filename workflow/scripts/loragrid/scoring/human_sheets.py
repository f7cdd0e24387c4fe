"""Blind sheets for people who rate answers: which answers, who rates which, and how the sheets look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from loragrid.data.splitting import by_hash
from loragrid.data.wholeness import refuse_other_answers
from loragrid.errors import UserError
from loragrid.layout import HUMAN_SHEET, PREPARE_DATASET, Dataset, Evaluation
from loragrid.records import Example, Prediction, content_hash, read_records
from loragrid.runtime.spreadsheets import fitted, read_sheet, set_text, write_csv, write_workbook
from loragrid.scoring.protocol import Item, items_of
from loragrid.sections import Name, Section, StageSettings

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

ID, ANSWER, COMMENT = "id", "answer", "comment"


WIDTHS = {ID: 12, "question": 50, "reference": 50, ANSWER: 70, COMMENT: 40}
"""Widths of the columns, in characters."""


WIDTH = 14
"""Width of a criterion's column."""


SHEET, INSTRUCTIONS = "answers", "instructions"


ADVICE = (
    "Rate each answer in the sheet 'answers': one value for each criterion below, from the list in its cell.",
    "A cell that is left empty means that you do not rate this. Comments are welcome, but not needed.",
    "Save your copy outside the folder results/, which belongs to the workflow: it may write a blank sheet there again.",
    "Keep the file's name, which says who you are, and the column 'id'. Rows may be in any order.",
)


class SheetRow(NamedTuple):
    """One answer to rate."""

    id: str
    question: str
    reference: str
    answer: str


def seal(evaluation: str, seed: int) -> str:
    """The text that the ids of all rows of an evaluation begin with."""
    return content_hash(evaluation, str(seed))[:6]


def row_id(evaluation: str, seed: int, item: Item) -> str:
    """The id of an answer in the sheets. It does not show whose answer it is. Equal answers to an example share a row.

    The underscore keeps spreadsheets from reading a number.
    """
    return f"{seal(evaluation, seed)}_{content_hash(evaluation, str(seed), item.id, str(item.part), item.prediction)}"


def choose(name: str, settings: HumanEvaluation, predictions: Iterable[Evaluation]) -> list[Evaluation]:
    """The predictions whose answers are rated.

    Args:
        name: of the human evaluation.
        predictions: the predictions of the grid and those made elsewhere.

    Raises:
        UserError: naming the key that chooses nothing, and the known values.
    """
    chosen = list(predictions)
    keys: tuple[tuple[str, list[str] | None, Callable[[Evaluation], str]], ...] = (
        ("tasks", settings.tasks, lambda evaluation: evaluation.task),
        ("sample_types", settings.sample_types, lambda evaluation: evaluation.sample_type),
        ("base_models", settings.base_models, lambda evaluation: evaluation.base_model),
        ("runs", settings.runs, lambda evaluation: evaluation.run + evaluation.variant),
    )
    for key, wanted, value in keys:
        there = dict.fromkeys(map(value, chosen))
        if absent := [own for own in wanted or () if own not in there]:
            raise UserError(
                f"human_evaluations.{name}.{key}: there are no predictions of {', '.join(map(repr, absent))} among those that "
                f"the keys before it "
                f"choose; known: {', '.join(there) or 'none'}."
            )
        chosen = [evaluation for evaluation in chosen if wanted is None or value(evaluation) in wanted]
    return chosen


def share_out(name: str, settings: HumanEvaluation, data: Iterable[Iterable[Example]]) -> dict[str, set[str]]:
    """The ids of the examples that each annotator rates.

    In each data set, the first examples by the hash of their question are rated, and everybody rates the first of these. The
    others are dealt out over all data sets together, as equally as their number allows.

    Args:
        name: of the human evaluation.
        data: the predicted examples of each data set.
    """
    common: set[str] = set()
    single: list[str] = []
    for examples in data:
        chosen = [example.id for example in by_hash(examples)[: settings.examples]]
        common.update(chosen[: settings.overlap])
        single += sorted(chosen[settings.overlap :], key=lambda id_: content_hash(name, str(settings.seed), id_))
    return {who: common | set(single[i :: len(settings.annotators)]) for i, who in enumerate(settings.annotators)}


def sheet_rows(name: str, settings: HumanEvaluation, annotator: str, items: Iterable[Item], chosen: set[str]) -> list[SheetRow]:
    """The rows of an annotator's sheet, shuffled. Equal answers to an example come once.

    Args:
        name: of the human evaluation.
        items: the answers of all models, with their questions.
        chosen: ids of the examples that the annotator rates.
    """
    rows = {}
    for item in items:
        if item.id in chosen:
            id_ = row_id(name, settings.seed, item)
            question = "\n\n".join(filter(None, [item.instruction, item.input]))
            rows[id_] = SheetRow(id_, question, "\n\n".join(item.references), item.prediction)
    return sorted(rows.values(), key=lambda row: content_hash(annotator, row.id))


def rows_of_annotator(
    name: str, settings: HumanEvaluation, annotator: str, predictions: Iterable[str], tests: Iterable[str]
) -> list[SheetRow]:
    """The rows of an annotator's sheet.

    Args:
        name: of the human evaluation.
        predictions: the files whose answers are rated.
        tests: the test sets that they answer.
    """
    examples = {Dataset.of(path): {example.id: example for example in read_records(path, Example)} for path in tests}
    items: list[Item] = []
    predicted: dict[Dataset, set[str]] = {dataset: set() for dataset in examples}
    for path in predictions:
        dataset, answers = Evaluation.of_predictions(path).dataset, read_records(path, Prediction)
        test = PREPARE_DATASET.path("test", dataset.wildcards)
        refuse_other_answers(path, [one.answered for one in answers], test, [*examples[dataset].values()])
        predicted[dataset].update(prediction.id for prediction in answers)
        items += [item for of_prediction in items_of(answers, examples=examples[dataset]) for item in of_prediction]
    rated = [[example for id_, example in examples[dataset].items() if id_ in ids] for dataset, ids in predicted.items()]
    return sheet_rows(name, settings, annotator, items, share_out(name, settings, rated)[annotator])


def asked_of(evaluation: str, annotator: str, rated: Collection[str]) -> dict[str, str] | None:
    """The answers in the blank sheet of an annotator by their ids; None if there is no sheet.

    Each experiment has sheets of its own, and the scores of filled sheets are shared. So the sheet counts that has most in common
    with what was rated.
    """
    found = []
    for of_experiment in (HUMAN_SHEET, HUMAN_SHEET.of_experiment("*")):
        for path in sorted(of_experiment.find("csv", evaluation=evaluation, annotator=annotator)):
            with suppress(OSError, UserError):
                found.append({str(row[ID]): str(row[ANSWER] or "") for _, row in read_sheet(path, [ID, ANSWER])})
    return max(found, key=lambda sheet: len(sheet.keys() & set(rated)), default=None)


def columns(settings: HumanEvaluation) -> list[str]:
    """The header of a sheet."""
    shown = ["question", "reference", ANSWER] if settings.show_reference else ["question", ANSWER]
    return [ID, *shown, *settings.criteria, COMMENT]


def _cells(settings: HumanEvaluation, rows: Iterable[SheetRow]) -> list[list[str]]:
    return [[fitted(getattr(row, name)) if name in row._fields else "" for name in columns(settings)] for row in rows]


def write_sheet_csv(path: str | Path, settings: HumanEvaluation, rows: Iterable[SheetRow]) -> None:
    """Write a sheet as CSV, in UTF-8 with the mark by which spreadsheets know it."""
    write_csv(path, columns(settings), _cells(settings, rows), encoding="utf-8-sig")


def write_sheet_workbook(path: str | Path, settings: HumanEvaluation, rows: Sequence[SheetRow]) -> None:
    """Write a sheet as XLSX. Ratings are chosen from lists; a second sheet explains what is asked."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    workbook = Workbook()
    sheet = workbook.worksheets[0]
    sheet.title = SHEET
    header = columns(settings)
    for i, texts in enumerate([header, *_cells(settings, rows)], start=1):
        for j, text in enumerate(texts, start=1):
            cell = sheet.cell(i, j)
            if text:
                set_text(cell, text)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            cell.font = Font(bold=i == 1)
    for j, name in enumerate(header, start=1):
        sheet.column_dimensions[get_column_letter(j)].width = WIDTHS.get(name, WIDTH)
    sheet.freeze_panes = "A2"

    ranges = _write_instructions(workbook.create_sheet(INSTRUCTIONS), settings)
    for name, criterion in settings.criteria.items():
        # A list in cells holds numbers in every language. A list that is spelled out would hold texts.
        choice = DataValidation("list", formula1=ranges[name], allow_blank=True, showErrorMessage=True, showInputMessage=True)
        # Longer ones make a file that spreadsheets refuse.
        choice.promptTitle, choice.prompt = name[:32], criterion.question[:255]
        column = get_column_letter(header.index(name) + 1)
        choice.add(f"{column}2:{column}{max(2, len(rows) + 1)}")
        sheet.add_data_validation(choice)
    write_workbook(path, workbook)


def _write_instructions(sheet: Worksheet, settings: HumanEvaluation) -> Mapping[str, str]:
    """Write the second sheet. Returns the cells with the values of each criterion."""
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    for i, text in enumerate(ADVICE, start=1):
        set_text(sheet.cell(i, 1), text)
    header = len(ADVICE) + 2
    for j, text in enumerate(("criterion", "question", "values"), start=1):
        set_text(sheet.cell(header, j), text)
        sheet.cell(header, j).font = Font(bold=True)
    ranges = {}
    for i, (name, criterion) in enumerate(settings.criteria.items(), start=header + 1):
        for j, text in enumerate((name, criterion.question), start=1):
            set_text(sheet.cell(i, j), text)
            sheet.cell(i, j).alignment = Alignment(wrap_text=True, vertical="top")
        for j, value in enumerate(criterion.values, start=3):
            sheet.cell(i, j).value = value
            sheet.cell(i, j).alignment = Alignment(vertical="top")
        ranges[name] = f"{INSTRUCTIONS}!$C${i}:${get_column_letter(2 + len(criterion.values))}${i}"
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 24, 80
    return ranges


class Criterion(Section):
    """What annotators are asked about each answer."""

    question: str = Field(description="The question, as the sheet shows it.")
    values: list[float] = Field(
        default=[0, 1], min_length=2, validate_default=True, description="The ratings that can be chosen."
    )
    level: Literal["nominal", "ordinal", "interval"] = Field(
        "ordinal", description="What the distance between two ratings means, for the agreement of annotators."
    )


class HumanEvaluation(Section):
    """Sheets for people who rate answers without knowing whose they are, written by the target `human_sheets`."""

    tasks: list[Name] = Field(min_length=1, description="The tasks of the grid whose answers are rated.")
    sample_types: list[Name] | None = Field(None, min_length=1, description="Their sample types; by default all in the grid.")
    base_models: list[Name] | None = Field(
        None, min_length=1, description="Base models whose answers, and whose runs' answers, are rated; by default all."
    )
    runs: list[str] | None = Field(
        None,
        min_length=1,
        description="Names of runs, of external predictions, or `base`, as the files under `results/predictions/` have them; by "
        "default all.",
    )
    examples: int = Field(20, ge=1, description="Test examples per data set; every chosen run's answers to them are rated.")
    criteria: dict[Name, Criterion] = Field(min_length=1, description="What is asked about each answer.")
    annotators: list[Name] = Field(min_length=1, description="Who fills a sheet.")
    overlap: int = Field(0, ge=0, description="Examples per data set that every annotator rates; the others are shared out.")
    show_reference: bool = Field(False, description="Show the reference output too.")
    seed: int = Field(0, ge=0, description="Another seed shuffles rows and shares out examples in another way.")

    @property
    def values(self) -> dict[str, list[float]]:
        """The values of each criterion that can be chosen."""
        return {name: criterion.values for name, criterion in self.criteria.items()}

    @model_validator(mode="after")
    def _overlap_is_part_of_the_examples(self) -> Self:
        if self.overlap > self.examples:
            raise ValueError(f"overlap is larger than examples ({self.examples})")
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if taken := self.criteria.keys() & {"id", "question", "reference", "answer", "comment", "mean"}:
            raise ValueError(f"a criterion cannot be called '{min(taken)}': a column of the sheet or a metric has this name")
        if len({name.casefold() for name in self.annotators}) < len(self.annotators):
            raise ValueError("an annotator is listed twice, case aside")
        return self


class SheetSettings(StageSettings):
    """The parameters of the rule `human_sheet`."""

    evaluation: HumanEvaluation
