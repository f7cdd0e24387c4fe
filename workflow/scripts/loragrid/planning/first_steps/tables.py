"""The file that a first experiment is made of: read, or refused in a sentence that says what is odd about it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.data.rows import kind_of_file, read_rows
from loragrid.data.values import plain
from loragrid.errors import UserError
from loragrid.runtime.compressed import opened
from loragrid.runtime.spreadsheets import is_blank, to_number
from loragrid.text.words import fold, shortened

MOST_ROWS = 100_000
"""Rows that are looked at."""

WITH_HEADER = (".csv", ".tsv", ".xlsx")
"""Kinds of files whose first row names the columns."""

LONGEST_NAME, MOST_WORDS = 60, 8
"""Characters and words of a column's name. What is longer is a text."""

CONVERSATIONS = (
    "If these are conversations, write the task by hand, with `messages`: docs/how-to/models-and-data.md, Conversations."
)

MOSTLY_LATIN = 0.3
"""Share of letters beyond ASCII that texts in Latin letters stay below."""

_LATIN = re.compile(r"[À-ÖØ-öø-ÿŒœŠšŽžŸ€…‘’“”„‚–—•«»°§©®™²³½ª\u00a0]*")
"""What texts of Western Europe hold besides ASCII."""


class Table(NamedTuple):
    """Rows of a file that has columns."""

    path: str
    columns: list[str]
    rows: list[dict[str, Any]]
    is_whole: bool = True
    """Whether these are all rows of the file."""

    def values(self, column: str) -> list[Any]:
        """The values of a column that are not blank."""
        found = (row.get(column) for row in self.rows)
        return [value for value in found if not is_blank(value) and value != [] and value != {}]


def read_table(path: str) -> Table:
    """The rows of a file, with plain values, if they can be the examples of a task.

    Raises:
        UserError: if the file cannot be read, has no rows, no header, or only one column.
    """
    try:
        given = [dict(row) for _, row in islice(read_rows(path), MOST_ROWS + 1)]
    except UserError as error:
        raise _other_encoding(path, str(error)) or error from None
    rows = [{str(name): plain(value) for name, value in row.items() if name} for row in given[:MOST_ROWS]]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(path, columns, rows, is_whole=len(given) <= MOST_ROWS)
    has_header = kind_of_file(Path(path)) in WITH_HEADER
    if not rows:
        raise UserError(f"{path}: it has no rows{' below its header' if has_header else ''}; expected examples.")
    if has_header and (why := _no_header(table)):
        raise UserError(
            f"{path}: its first row seems to be an example and no header ({why}); expected the names of columns there."
        )
    if len(columns) < 2:
        named = f"only the column '{shortened(columns[0])}'" if columns else "no column with a name"
        hint = f" {CONVERSATIONS}" if is_structured(table.values(columns[0]) if columns else ()) else ""
        raise UserError(f"{path}: it has {named}; expected at least two, one with inputs and one with outputs.{hint}")
    return table


def _no_header(table: Table) -> str | None:
    """Why the names of columns look like values."""
    for name in table.columns:
        if to_number(name) is not None:
            return f"'{name}' is a number"
        if len(name) > LONGEST_NAME or len(name.split()) > MOST_WORDS:
            return f"'{shortened(name, 30)}' is a text"
        if any(isinstance(value, str) and fold(value) == fold(name) for value in table.values(name)):
            return f"'{name}' stands below again"
    return None


def _other_encoding(path: str, said: str) -> UserError | None:
    """The sentence about a file of text that is not UTF-8, with what it looks like; None if that is not what is wrong."""
    if " not UTF-8 text (" not in said or "the file seems to be cut" in said:
        return None
    with opened(Path(path)) as file:
        looks_like = likely_encoding(file.read(2**20))
    if looks_like is None:
        return None
    command = f"iconv -f {looks_like} -t utf-8 {shlex.quote(path)} > {shlex.quote(f'utf8-{Path(path).name}')}"
    remedy = f"save it as UTF-8, for example by `{command}`, and name that file"
    return UserError(f"{said.rpartition('; convert')[0]}; it looks like {looks_like}: {remedy}.")


def likely_encoding(content: bytes) -> str | None:
    """The encoding that a text which is not UTF-8 is probably in, as Python and iconv name it; None if it cannot be told."""
    western = content.decode("cp1252", errors="replace")
    beyond = [sign for sign in western if not sign.isascii()]
    nb_letters = sum(map(str.isalpha, western))
    if len(beyond) < MOSTLY_LATIN * nb_letters and _LATIN.fullmatch("".join(beyond)):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(content).best()
    return best.encoding if best else None


def as_name(column: str) -> str:
    """A column's name as names of columns are compared: small letters and underscores."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.strip())
    return re.sub(r"[\W_]+", "_", spaced.casefold()).strip("_")


def mean_length(values: Sequence[Any]) -> float:
    """Mean number of characters of values as text."""
    return sum(len(str(value)) for value in values) / max(1, len(values))


def is_structured(values: Sequence[Any]) -> bool:
    """Whether values have parts, so that none is a text. Lists of such are turns of conversations."""
    return any(isinstance(part, Mapping | bytes) for value in values for part in (value if isinstance(value, list) else [value]))
