"""Tables that people open in a spreadsheet: text stays text on the way out, and comes back as spreadsheets save it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from loragrid.errors import UserError
from loragrid.runtime.files import written_whole
from loragrid.runtime.paths import file_problem, shown
from loragrid.runtime.text_files import LOOKED_AT, kind_of, read_text

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.cell import Cell

SIGNS = "=+-@"
"""What formulas begin with."""


QUOTES = "\"'‘’“”"


UNSEEN = ("Cc", "Cf", "Mn", "Me", "Zs", "Zl", "Zp")
"""Kinds of characters that take no ink: spaces, marks for the direction of text, joiners, accents, controls."""


FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Characters that count as letters or symbols, and take no ink either."""


# Characters that XML cannot hold.
ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


# Python would also take "1_0", "nan" and "infinity".
_NUMBER = re.compile(r"[+-]?(?:\d{1,300}(?:[.,]\d{0,300})?|[.,]\d{1,300})(?:[eE][+-]?\d{1,3})?")


LONGEST = 32_767
"""Most characters of a cell, as UTF-16 counts them."""


CUT = " […]"


MADE = (1980, 1, 1, 0, 0, 0)
"""The date that all files are given, so that the same content has the same bytes: the first moment that ZIP knows."""


class UncomputedFormula(str):
    """A formula without a value, as text."""

    __slots__ = ()


def like_formula(text: str) -> bool:
    """Whether a spreadsheet could read a text as a formula, perhaps after somebody edited or copied it.

    Spreadsheets also know the full-width signs, and some skip white space, quotes and what is not seen before a sign.
    """
    bare = text.lstrip("'")
    if bare.startswith(("\t", "\r", "\n")):
        return True
    seen = next((letter for letter in bare if not (letter in QUOTES + FILLERS or unicodedata.category(letter) in UNSEEN)), "")
    return seen != "" and unicodedata.normalize("NFKC", seen)[:1] in SIGNS


def guarded(text: str) -> str:
    """A text for a CSV cell. If it could be read as a formula, it gets an apostrophe in front."""
    return f"'{text}" if like_formula(text) else text


def unguarded(cell: str) -> str:
    """The text of a CSV cell that was `guarded`."""
    return cell[1:] if cell.startswith("'") and like_formula(cell) else cell


def fitted(text: str) -> str:
    """A text as a spreadsheet's cell can hold it: without control characters, and cut where it is too long."""
    text = ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", re.sub(r"\r\n?", "\n", text))
    units = text.encode("utf-16-le")
    if len(units) <= 2 * LONGEST:
        return text
    return units[: 2 * (LONGEST - len(CUT))].decode("utf-16-le", errors="ignore") + CUT


def write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[str]], encoding: str = "utf-8") -> None:
    """Write rows of texts as CSV without formulas, whole or not at all."""
    with written_whole(path) as temporary, open(temporary, "w", encoding=encoding, newline="") as file:
        # By default the writer does not quote a carriage return, and a reader would begin a new row after it.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(header)
        writer.writerows([guarded(text) for text in row] for row in rows)


def set_text(cell: Cell, text: str) -> None:
    """Put a text into a cell of a workbook: never a formula, also after somebody edited it."""
    cell.value = fitted(text)
    cell.data_type = "s"
    cell.quotePrefix = like_formula(text)


def write_workbook(path: str | Path, workbook: Workbook) -> None:
    """Write an XLSX file, whole or not at all; the same content gives the same bytes."""
    from openpyxl.writer.excel import ExcelWriter

    workbook.properties.created = workbook.properties.modified = datetime(*MADE)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        ExcelWriter(workbook, archive).write_data()
    with (
        written_whole(path) as temporary,
        zipfile.ZipFile(written) as archive,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as dated,
    ):
        for entry in archive.infolist():
            dated.writestr(zipfile.ZipInfo(entry.filename, MADE), archive.read(entry), zipfile.ZIP_DEFLATED)


def read_sheet(path: str | Path, columns: Collection[str]) -> list[tuple[int, Mapping[str, Any]]]:
    """The rows of a table, with their numbers as a spreadsheet shows them. Cells are texts, numbers or None.

    In an XLSX file, the sheet that has the columns is read. A CSV file may be in any form that spreadsheets save: with `,`, `;`
    or tab between cells, in UTF-8, UTF-16 or an older encoding.

    Args:
        columns: the columns that must be there.

    Raises:
        UserError: naming the file, if it is neither CSV nor XLSX, lacks a column or has one twice, or a quote is never closed.
    """
    if problem := file_problem(str(path)):
        raise UserError(f"'{shown(path)}' {problem}")
    path = Path(path)
    match path.suffix.lower():
        case ".csv":
            tables = _csv_tables(path, columns)
        case ".xlsx":
            tables = _workbook_tables(path)
        case _:
            raise UserError(f"{path}: expected a file that ends in .csv or .xlsx.")
    missing = list(columns)
    for table in tables:
        header = _header(table)
        lacking = [name for name in columns if name not in header]
        if not lacking:
            if repeated := [name for name, count in Counter(filter(None, header)).items() if count > 1]:
                raise UserError(f"{path}, row 1: the column '{repeated[0]}' stands twice; expected each column once.")
            return [(i, dict(zip_longest(header, row[: len(header)]))) for i, row in enumerate(table[1:], start=2)]
        missing = min(missing, lacking, key=len)
    raise UserError(f"{path}, row 1: there is no column {', '.join(map(repr, missing))}; expected the header of the blank sheet.")


def _header(table: Sequence[Sequence[Any]]) -> list[str]:
    return [str(cell or "").strip() for cell in table[0]] if table else []


def _csv_tables(path: Path, columns: Collection[str]) -> Iterator[list[list[str]]]:
    """The file, read with each separator in turn."""
    text = _sheet_text(path)
    for separator in ",;\t":
        table: list[list[str]] = []
        reader, line = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1
        try:
            for row in reader:
                table.append(list(map(unguarded, row)))
                line = reader.line_num + 1
            yield table
        except csv.Error:
            # With the wrong separator, half the file may be one endless cell.
            if set(columns) <= set(_header(table)):
                where = f"{path}, row {len(table) + 1} (line {line})"
                said = "a quote is opened and not closed where its cell ends"
                raise UserError(
                    f"{where}: {said}; expected cells in quotes to end with one, and quotes in them doubled."
                ) from None


def _sheet_text(path: Path) -> str:
    """The text of a CSV file. Spreadsheets may save it in an older encoding of Windows."""
    try:
        return read_text(path)
    except UserError:
        content = path.read_bytes()
        if b"\0" in content or kind_of(content[:LOOKED_AT]):
            raise
        # At most a few letters of the texts are lost, and nobody reads these.
        return content.decode("cp1252", errors="replace")


def _workbook_tables(path: Path) -> Iterator[list[list[Any]]]:
    with open(path, "rb") as file:
        yield from (table for _, table in workbook_tables(path, file))


def workbook_tables(path: Path, file: IO[bytes]) -> Iterator[tuple[str, list[list[Any]]]]:
    """The name and the cells of each sheet of an XLSX file.

    A formula counts as the value that it had when the file was saved, or else as its own text.

    Args:
        path: for messages.

    Raises:
        UserError: if it is no such file.
    """
    from openpyxl import load_workbook

    content = file.read()
    try:
        values, formulas = load_workbook(io.BytesIO(content), data_only=True), load_workbook(io.BytesIO(content))
    except Exception as error:
        raise UserError(f"{path}: not a valid XLSX file ({error}).") from error
    for sheet, written in zip(values.worksheets, formulas.worksheets, strict=True):
        table = [list(map(_cell, *rows)) for rows in zip(sheet.iter_rows(), written.iter_rows(), strict=True)]
        yield sheet.title, table


def _cell(saved: Cell, written: Cell) -> Any:
    """The value of a cell. Programs that compute nothing save formulas without one: these are neither lost nor empty."""
    if saved.value is None and written.data_type == "f":
        return UncomputedFormula(getattr(written.value, "text", written.value))
    return saved.value


def to_number(cell: Any) -> float | None:
    """The number in a cell; None if there is none. It may be text, with a point or a comma before the decimals."""
    if isinstance(cell, str):
        return float(cell.strip().replace(",", ".")) if _NUMBER.fullmatch(cell.strip()) else None
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def is_blank(cell: Any) -> bool:
    """Whether a cell is empty."""
    return cell is None or not str(cell).strip()
