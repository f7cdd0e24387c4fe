"""Scorers that read what people said about answers: filled sheets of a human evaluation, or plain files of ratings."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from loragrid.errors import UserError
from loragrid.layout import parse_variant
from loragrid.runtime.job import log
from loragrid.runtime.spreadsheets import is_blank, read_sheet, to_number
from loragrid.scoring.human_sheets import COMMENT, ID, row_id, seal
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.text.words import normalise_space


class RatedRow(NamedTuple):
    """What an annotator says about one answer."""

    ratings: Mapping[str, float]
    """By criterion; those that were left empty are not in it."""
    comment: str


def human(evaluation: str, seed: int, criteria: Mapping[str, Sequence[float]], sheets: Sequence[str]) -> ScorerFunction:
    """For each criterion the mean of what the annotators of an answer say, and the `mean` over all criteria.

    An answer that nobody rates has no score, nor has a criterion that nobody rates; without one of them there is no `mean` either, because it would
    be about something else than the others.

    Args:
        evaluation: name of the human evaluation.
        seed: of the human evaluation.
        criteria: the values of each that can be chosen.
        sheets: the filled sheets, each named after its annotator.

    Raises:
        UserError: naming file, row and column of a rating that cannot be chosen, or of a row that is not of this evaluation.
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
        criteria: the values of each that can be chosen.
        beginning: what the ids of the evaluation begin with.
    """
    found: dict[str, RatedRow] = {}
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
                "expected the ids of the sheets that 'snakemake human_sheets' writes."
            )
        for name, cell in filled.items():
            if to_number(cell) not in criteria[name]:
                values = ", ".join(f"{value:g}" for value in criteria[name])
                raise UserError(f"{path}, row {number}, column '{name}': '{cell}' cannot be chosen; expected one of {values}.")
        if not filled:
            continue
        if id_ in found:
            raise UserError(f"{path}, row {number}, column '{ID}': '{id_}' is rated in a row above already.")
        ratings = {name: value for name, cell in filled.items() if (value := to_number(cell)) is not None}
        found[id_] = RatedRow(ratings, "" if is_blank(row.get(COMMENT)) else str(row[COMMENT]).strip())
    return found


def _outcome(id_: str, rows: Mapping[str, RatedRow], criteria: Sequence[str]) -> Outcome:
    """The score of an answer.

    Args:
        rows: what each of its annotators says.
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


def means(given: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean rating of each criterion that has any, and `mean`, over all criteria, if each of them has."""
    found = {name: sum(values) / len(values) for name, values in given.items() if values}
    return found | ({"mean": sum(found.values()) / len(found)} if len(found) == len(given) else {})


class Rating(NamedTuple):
    """A row of a plain file."""

    where: str
    texts: Sequence[tuple[str, str]]
    """Query and answer, white space normalised; in each way that the row can be read."""
    values: Sequence[float | None]


def ratings(path: str, criteria: Sequence[str], runs: Sequence[str] | None = None) -> ScorerFunction:
    """For each criterion the mean of an answer's ratings in a plain file, and the `mean` over all criteria.

    A rating holds for an answer to the same input (without one: instruction) if the text in the file is the whole answer, or the answer up to its
    first `.`, that included; white space is normalised, case counts. Whose answer it is, is not said in such a file: two models that say the same
    have the same rating, unless the rated `runs` are named.

    Raises:
        UserError: naming file and line of a row that cannot be read, or not in a single way.
    """
    rows = read_ratings(path, len(criteria))

    def score(items: Sequence[Item]) -> list[Outcome]:
        rated = [runs is None or parse_variant(PurePosixPath(item.model).name)[0] in runs for item in items]
        shown = [
            {(_query(item), text) for text in _shown(item.prediction)} if is_rated else set()
            for item, is_rated in zip(items, rated, strict=True)
        ]
        asked = {key for keys in shown for key in keys}
        found: dict[tuple[str, str], list[Rating]] = {}
        for row in rows:
            keys = asked.intersection(row.texts)
            if len({query for query, _ in keys}) > 1:
                raise UserError(f"{path}, {row.where}: where its query ends is not clear; put query and answer in quotes.")
            for key in keys:
                found.setdefault(key, []).append(row)
        log.info("%d of %d ratings are about these answers", sum(map(len, found.values())), len(rows))
        return [_mean_of_ratings([row for key in sorted(keys) for row in found.get(key, [])], criteria) for keys in shown]

    return score


def _query(item: Item) -> str:
    return normalise_space(item.input or item.instruction)


def _shown(answer: str) -> set[str]:
    """What raters may have seen of an answer."""
    first, point, _ = answer.partition(".")
    return {normalise_space(answer), normalise_space(first + point)}


def _mean_of_ratings(rows: Sequence[Rating], criteria: Sequence[str]) -> Outcome:
    columns = [[row.values[i] for row in rows] for i in range(len(criteria))]
    metrics = means({name: [v for v in column if v is not None] for name, column in zip(criteria, columns, strict=True)})
    return Scored(metrics, left_out={*criteria, "mean"} - metrics.keys()) if metrics else None


def read_ratings(path: str, nb_criteria: int) -> list[Rating]:
    """The rows of a file without header: index, query, answer, a column for each criterion, and perhaps empty ones.

    A file in which every row has just these fields is CSV as it should be. Otherwise query and answer are taken to hold commas without quotes: each
    line is read from its right end, and where the query ends remains to be seen.

    Raises:
        UserError: naming file and line of a row that lacks fields, or whose ratings are no numbers.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        text = file.read()
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = _without_empty_ends([(f"line {reader.line_num}", row) for row in reader if any(map(str.strip, row))])
        proper = all(len(row) == 3 + nb_criteria for _, row in rows)
    except csv.Error:
        proper = False
    if not proper:
        lines = enumerate(text.split("\n"), start=1)
        rows = _without_empty_ends([(f"line {i}", line.split(",")) for i, line in lines if line.strip()])
    return [_rating(path, where, row, nb_criteria) for where, row in rows]


def _without_empty_ends(rows: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The rows without those empty fields at the end that all of them have; another one is a rating that is missing."""
    surplus = min((sum(1 for _ in takewhile(is_blank, reversed(row))) for _, row in rows), default=0)
    return [(where, row[: len(row) - surplus]) for where, row in rows]


def _rating(path: str, where: str, row: Sequence[str], nb_criteria: int) -> Rating:
    if len(row) < 3 + nb_criteria:
        raise UserError(f"{path}, {where}: expected index, query, answer and {nb_criteria} ratings, found {len(row)} fields.")
    _, *middle = row[:-nb_criteria]
    values = [None if is_blank(cell) else to_number(cell) for cell in row[-nb_criteria:]]
    for cell, value in zip(row[-nb_criteria:], values, strict=True):
        if not is_blank(cell) and (value is None or not math.isfinite(value)):
            raise UserError(f"{path}, {where}: the rating '{cell.strip()}' is no number.")
    return Rating(where, list(_readings(middle)), values)


def _readings(fields: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The ways in which fields that were parted at commas are a query and an answer."""
    for i in range(1, len(fields)):
        yield normalise_space(",".join(fields[:i])), normalise_space(",".join(fields[i:]))
