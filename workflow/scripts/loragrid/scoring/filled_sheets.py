"""Filled sheets of human evaluations: what people rated, and every mistake that can be told from the file."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.data.values import plain
from loragrid.errors import UserError
from loragrid.runtime.commands import command
from loragrid.runtime.job import log
from loragrid.runtime.spreadsheets import UncomputedFormula, fitted, is_blank, read_sheet, to_number
from loragrid.runtime.template_values import as_text
from loragrid.scoring.human_sheets import ANSWER, COMMENT, ID, asked_of
from loragrid.text.words import shortened


class RatedRow(NamedTuple):
    """One annotator's ratings of one answer."""

    ratings: Mapping[str, float]
    """The ratings by criterion, without criteria that were left empty."""
    comment: str
    answer: str = ""
    """As the sheet shows it."""
    number: int = 0
    """Of the row, as a spreadsheet shows it."""


def moved_rows(path: str, rows: Mapping[str, RatedRow], texts: Mapping[str, str]) -> tuple[str | None, int]:
    """A sentence if rows of a filled sheet show the answers of other rows, and how many answers are not as they were.

    Args:
        rows: those of the sheet, by id.
        texts: answers by the ids of their rows.
    """
    shown = {id_: _letters(row.answer) for id_, row in rows.items()}
    edited = [id_ for id_ in rows.keys() & texts.keys() if shown[id_] and shown[id_] != _letters(texts[id_])]
    elsewhere = set(shown.values()) if edited else set()
    moved = sorted(rows[id_].number for id_ in edited if _letters(texts[id_]) in elsewhere)
    sentence = moved and (
        f"{path}, row {moved[0]}, column '{ID}': the row shows another answer than the one with this id ({len(moved)} "
        "rows do); was a column sorted without the others? Sort whole rows only."
    )
    return sentence or None, len(edited)


def check_answers(path: str, rows: Mapping[str, RatedRow], texts: Mapping[str, str]) -> None:
    """Compare the answers that a filled sheet shows with those that its ids stand for, as far as spreadsheets leave them alone.

    Args:
        rows: those of the sheet, by id.
        texts: answers by the ids of their rows.

    Raises:
        UserError: if a row shows the answer of another row: its id was moved, or its ratings.
    """
    moved, edited = moved_rows(path, rows, texts)
    if moved:
        raise UserError(moved)
    if edited:
        log.info("%s: %d rated answers were edited, or changed by a spreadsheet; their ratings count", path, edited)


def _letters(text: str) -> str:
    """What no spreadsheet changes in a text: its plain letters."""
    return re.sub("[^a-z]", "", fitted(text).casefold())


def filled_by_another(path: str, evaluation: str, rows: Mapping[str, RatedRow], annotators: Sequence[str]) -> str | None:
    """A sentence if a sheet holds what another annotator was asked, and nothing that its own was asked alone.

    Args:
        path: of the filled sheet.
        rows: its rows by id.
        annotators: of the evaluation.
    """
    sheets = {annotator: asked_of(evaluation, annotator, rows) for annotator in annotators}
    asked = {who: set(sheet) for who, sheet in sheets.items() if sheet}
    own = asked.get(Path(path).stem, set())
    others = {who: ids - own for who, ids in asked.items() if own and who != Path(path).stem}
    if not own or not others or rows.keys() & own - set().union(*(asked[who] for who in others)):
        return None
    counts = {who: len(rows.keys() & ids) for who, ids in others.items()}
    who = max(counts, key=lambda name: counts[name])
    if not counts[who]:
        return None
    asked_of_another = f"{counts[who]} of {len(rows)} rated rows were asked of '{who}' and not of '{Path(path).stem}'"
    return f"{path}: {asked_of_another}; name the file after who filled it."


MOST_MISTAKES = 20
"""So many mistakes of a sheet are named."""


def read_filled_sheet(
    path: str, criteria: Mapping[str, Sequence[float]], beginning: str, evaluation: str | None = None
) -> dict[str, RatedRow]:
    """The rows of a sheet that hold a rating, by their ids.

    Args:
        criteria: the values of each criterion that can be chosen.
        beginning: the text that all ids of the evaluation begin with.
        evaluation: its name, if rows are compared with the blank sheet of the annotator, where it is.

    Raises:
        UserError: with a sentence for each mistake, which names row and column, what was found and what was expected.
    """
    rated: dict[str, RatedRow] = {}
    met: dict[str, RatedRow] = {}
    mistakes: list[str] = []
    for number, row in read_sheet(path, [ID, *criteria]):
        filled = {name: row[name] for name in criteria if not is_blank(row[name])}
        id_ = "" if is_blank(row[ID]) else str(row[ID]).strip()
        if not id_ and not filled:
            continue
        found = {ID: _mistake_in_id(id_, beginning, id_ in met and bool(filled))}
        found |= {name: _mistake_in_rating(cell, criteria[name]) for name, cell in filled.items()}
        own = [f"{path}, row {number}, column '{column}': {mistake}" for column, mistake in found.items() if mistake]
        mistakes += own
        if filled:
            ratings = {name: value for name, cell in filled.items() if (value := to_number(cell)) is not None}
            comment, answer = (as_text(plain(row.get(name))).strip() for name in (COMMENT, ANSWER))
            met[id_] = RatedRow(ratings, comment, answer, number)
            rated |= {} if own else {id_: met[id_]}
    if evaluation is not None and (asked := asked_of(evaluation, Path(path).stem, met)):
        moved, _ = moved_rows(path, met, asked)
        mistakes += [moved] if moved else []
    if mistakes:
        raise UserError("\n".join(mistakes_shown(path, mistakes)))
    return rated


def mistakes_shown(path: str, mistakes: Sequence[str]) -> list[str]:
    """The first mistakes of a file, and how many more there are."""
    more = len(mistakes) - MOST_MISTAKES
    return [*mistakes[:MOST_MISTAKES], *([f"{path}: {more} more mistakes."] if more > 0 else [])]


def _mistake_in_id(id_: str, beginning: str, is_rated: bool) -> str | None:
    """What is wrong with the id of a row.

    Args:
        is_rated: whether a row above has it too, and both have ratings.
    """
    if not id_:
        return "the id is missing; expected that of the blank sheet."
    if not id_.startswith(f"{beginning}_"):
        expected = f"expected the ids of the sheets that '{command('human_sheets')}' writes"
        return f"'{shortened(id_)}' is no row of this human evaluation with this seed; {expected}."
    return f"'{shortened(id_)}' is rated in a row above already." if is_rated else None


def _mistake_in_rating(cell: Any, values: Sequence[float]) -> str | None:
    if isinstance(cell, UncomputedFormula):
        hint = "open the sheet in a spreadsheet program and save it, or give the value itself"
        return f"the formula '{shortened(cell)}' has no saved value; {hint}."
    if to_number(cell) in values:
        return None
    found = f"'{shortened(str(cell))}' cannot be chosen; expected one of {', '.join(f'{value:g}' for value in values)}."
    return f"{found} A spreadsheet made a date of what was typed." if isinstance(cell, datetime.date | datetime.time) else found
