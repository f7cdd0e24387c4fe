"""The scorer `ratings`: plain files with people's ratings of answers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from loragrid.errors import UserError
from loragrid.layout import Evaluation
from loragrid.runtime.job import log
from loragrid.runtime.spreadsheets import is_blank, to_number
from loragrid.runtime.text_files import read_text
from loragrid.scoring.criteria import means, metrics_of_criteria, seem_on_one_scale
from loragrid.scoring.filled_sheets import mistakes_shown
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import Named, ScorerInputs, ScorerSettings
from loragrid.sections import Name
from loragrid.text.words import normalise_space, one_form, shortened


class RatingsScorer(ScorerSettings):
    """Ratings in a plain file without header: index, query, answer and one column for each criterion. Each criterion is a metric,
    and so is their `mean`, unless the ratings show that they lie on different scales: the largest by one criterion is twice the
    largest by another.

    A rating holds for a prediction that answers the same query (the input of the test example) with the same text. The file may
    hold the text whole, or up to its first `.`. Commas in query and answer need no quotes: a row is read from its right end.
    """

    type: Literal["ratings"] = Field(description="Chooses this scorer.")
    file: str = Field(description="The file, CSV.")
    criteria: list[Name] = Field(min_length=1, description="The criteria of the columns at the right, in order.")
    runs: list[str] | None = Field(
        None,
        min_length=1,
        description="Whose answers were rated: names of runs, of external predictions, or `base`. By default, the answers "
        "of all that say the same.",
    )

    edition = 1
    reads_examples = True
    may_leave_out = True
    kind = "people"

    @model_validator(mode="after")
    def _mean_is_taken(self) -> Self:
        if "mean" in self.criteria or len(set(self.criteria)) < len(self.criteria):
            raise ValueError("criteria must have names of their own, other than 'mean'")
        return self

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return ratings(self.file, self.criteria, self.runs)

    def metrics_of_example(self, criteria: object) -> tuple[str, ...]:
        try:
            columns = columns_of(cached_ratings(self.file, len(self.criteria)), len(self.criteria))
        except (OSError, UserError):
            # What is wrong with the file is said elsewhere.
            columns = []
        return metrics_of_criteria(self.criteria, seem_on_one_scale(columns))

    def problems_in_files(self, config: Named) -> Iterator[str]:
        if Path(self.file).is_file():
            try:
                cached_ratings(self.file, len(self.criteria))
            except UserError as error:
                yield from (f"file: {line}" for line in str(error).splitlines())

    def files(self) -> dict[str, str]:
        return {"file": self.file}

    @property
    def rated_runs(self) -> Sequence[str]:
        return self.runs or ()


class Rating(NamedTuple):
    """A row of a plain file."""

    where: str
    texts: Sequence[tuple[str, str]]
    """Query and answer, with normalised white space, in each way that the row can be read."""
    values: Sequence[float | None]


def ratings(path: str, criteria: Sequence[str], runs: Sequence[str] | None = None) -> ScorerFunction:
    """The mean of an answer's ratings in a plain file, for each criterion, and the `mean` over all criteria.

    A rating holds for an answer to the same input (or, without input, the same instruction) if the text in the file is the whole
    answer, or the answer up to and including its first `.`. White space is normalised, case counts. Such a file does not say
    whose answer it is: two models that say the same have the same rating, unless the rated `runs` are named.

    Raises:
        UserError: naming file and line of a row that cannot be read, or that can be read in several ways.
    """
    rows = read_ratings(path, len(criteria))
    with_mean = seem_on_one_scale(columns_of(rows, len(criteria)))
    if not with_mean:
        log.info("%s: the criteria lie on different scales; there is no mean over them", path)

    def score(items: Sequence[Item]) -> list[Outcome]:
        rated = [runs is None or Evaluation.of_place(item.place).run in runs for item in items]
        shown = [
            {(_query(item), text) for text in _shown(item.prediction)} if is_rated else set()
            for item, is_rated in zip(items, rated, strict=True)
        ]
        asked = {key for keys in shown for key in keys}
        by_answer: dict[tuple[str, str], list[Rating]] = {}
        for row in rows:
            keys = asked.intersection(row.texts)
            if len({query for query, _ in keys}) > 1:
                raise UserError(f"{path}, {row.where}: where its query ends is not clear; put query and answer in quotes.")
            for key in keys:
                by_answer.setdefault(key, []).append(row)
        log.info("%d of %d ratings are about these answers", sum(map(len, by_answer.values())), len(rows))
        rated_rows = [[row for key in sorted(keys) for row in by_answer.get(key, [])] for keys in shown]
        return [_mean_of_ratings(of_answer, criteria, with_mean) for of_answer in rated_rows]

    return score


def _plain(text: str) -> str:
    return normalise_space(one_form(text))


def _query(item: Item) -> str:
    return _plain(item.input or item.instruction)


def _shown(answer: str) -> set[str]:
    """The forms of an answer that raters may have seen."""
    first, point, _ = answer.partition(".")
    return {_plain(answer), _plain(first + point)}


def columns_of(rows: Sequence[Rating], nb_criteria: int) -> list[list[float]]:
    """The ratings of each criterion."""
    return [[value for row in rows if (value := row.values[i]) is not None] for i in range(nb_criteria)]


def _mean_of_ratings(rows: Sequence[Rating], criteria: Sequence[str], with_mean: bool) -> Outcome:
    metrics = means(dict(zip(criteria, columns_of(rows, len(criteria)), strict=True)), with_mean)
    return Scored(metrics, left_out={*criteria, "mean"} - metrics.keys()) if metrics else None


def read_ratings(path: str, nb_criteria: int) -> list[Rating]:
    """The rows of a file without header: index, query, answer, a column for each criterion, and perhaps empty ones.

    If every row has exactly these fields, the file is proper CSV. Otherwise query and answer are taken to hold commas without
    quotes: each line is read from its right end, and it remains open where the query ends.

    Raises:
        UserError: with a sentence for each row that lacks fields, or has ratings that are no numbers.
    """
    text = read_text(path)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = _without_empty_ends([(f"line {reader.line_num}", row) for row in reader if any(map(str.strip, row))])
        proper = all(len(row) == 3 + nb_criteria for _, row in rows)
    except csv.Error:
        proper = False
    if not proper:
        lines = enumerate(text.split("\n"), start=1)
        rows = _without_empty_ends([(f"line {i}", line.split(",")) for i, line in lines if line.strip()])
    ratings_: list[Rating] = []
    mistakes: list[str] = []
    for where, row in rows:
        mistake = _mistake_in(row, nb_criteria)
        if mistake:
            mistakes.append(f"{path}, {where}: {mistake}")
        else:
            ratings_.append(_rating(where, row, nb_criteria))
    if mistakes:
        raise UserError("\n".join(mistakes_shown(path, mistakes)))
    return ratings_


def cached_ratings(path: str, nb_criteria: int) -> list[Rating]:
    """As `read_ratings`; a file that has not changed is read once."""
    state = Path(path).stat()
    return _read_once(path, nb_criteria, state.st_mtime_ns, state.st_size)


@lru_cache
def _read_once(path: str, nb_criteria: int, _mtime: int, _size: int) -> list[Rating]:
    return read_ratings(path, nb_criteria)


def _without_empty_ends(rows: Sequence[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The rows without the empty fields that all of them have at the end; any other empty field is a missing rating."""
    surplus = min((sum(1 for _ in takewhile(is_blank, reversed(row))) for _, row in rows), default=0)
    return [(where, row[: len(row) - surplus]) for where, row in rows]


def _mistake_in(row: Sequence[str], nb_criteria: int) -> str | None:
    if len(row) < 3 + nb_criteria:
        return f"expected index, query, answer and {nb_criteria} ratings, found {len(row)} fields."
    wrong = [cell for cell in row[-nb_criteria:] if not is_blank(cell) and not math.isfinite(_number(cell))]
    return f"the rating '{shortened(wrong[0])}' is no number." if wrong else None


def _number(cell: str) -> float:
    value = to_number(cell)
    return math.nan if value is None else value


def _rating(where: str, row: Sequence[str], nb_criteria: int) -> Rating:
    _, *middle = row[:-nb_criteria]
    return Rating(where, list(_readings(middle)), [None if is_blank(cell) else to_number(cell) for cell in row[-nb_criteria:]])


def _readings(fields: Sequence[str]) -> Iterable[tuple[str, str]]:
    """The ways to join fields, which were split at commas, into a query and an answer."""
    for i in range(1, len(fields)):
        yield _plain(",".join(fields[:i])), _plain(",".join(fields[i:]))
