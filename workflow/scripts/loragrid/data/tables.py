"""Tables: files of separated fields, spreadsheets, and columnar files. The first line, or a schema, names the columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.spreadsheets import is_blank, workbook_tables
from loragrid.runtime.text_files import LOOKED_AT, kind_of, lines_of, open_text
from loragrid.text.words import one_form

Reader = Callable[[Path, IO[bytes], str | None], Iterator[tuple[str, Any]]]
"""Reads a file in an encoding; gives its rows and where each stands."""


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""What separates the fields of a line, and how it is called."""


STATED = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
"""The first line by which a file tells spreadsheets what separates its fields."""


HEADER_LINES = 64
"""Lines of a file in which its header and its first row are looked for."""


# Fields of a CSV file may be whole documents.
csv.field_size_limit(2**31 - 1)


def repeated_of(names: Iterable[str]) -> list[str]:
    """The names that stand more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def check_once(path: Path, where: str, what: str, repeated: Sequence[str]) -> None:
    """Raise a UserError if there are repeated names: which value is meant would be a guess."""
    if repeated:
        raise UserError(f"{path}, {where}: the {what} '{repeated[0]}' stands twice; expected each {what} once.")


def separated(usual: str) -> Reader:
    def read(path: Path, file: IO[bytes], encoding: str | None) -> Iterator[tuple[str, Any]]:
        lines = lines_of(open_text(path, file, encoding))
        first = list(islice(lines, HEADER_LINES))
        if stated := STATED.fullmatch(first[0]) if first else None:
            # An empty line in its place: lines are counted from it.
            first[0], separator = "\n", stated[1]
        else:
            separator = _separator(first, usual)
        if separator != usual:
            said = SEPARATORS.get(separator, repr(separator))
            log.info("%s: fields are separated by %s, as the %s says", path, said, "first line" if stated else "header")
        reader = csv.reader(chain(first, lines), delimiter=separator, strict=True)
        begun = 1
        try:
            header = next(filter(None, reader), [])
            # Names that look alike are one name. Columns without a name cannot be meant.
            check_once(
                path,
                f"line {max(reader.line_num, 1)}",
                "column",
                repeated_of(filter(None, (one_form(name).strip() for name in header))),
            )
            begun = reader.line_num + 1
            for fields in reader:
                if len(fields) not in (0, len(header)):
                    expected = f"expected {len(header)} fields as in the header, found {len(fields)}"
                    raise UserError(f"{path}, line {reader.line_num}: {expected}{_other_separator(header, separator)}.")
                if fields:
                    yield f"line {reader.line_num}", dict(zip(header, fields, strict=True))
                begun = reader.line_num + 1
        except csv.Error as error:
            raise UserError(f"{path}, line {begun}: malformed row ({_quoting(str(error))}).") from None

    return read


def _separator(first: Sequence[str], usual: str) -> str:
    """What separates fields: the usual sign, unless the header then has one column, and another sign splits it and the next row
    into as many fields.

    Args:
        first: the first lines of the file.
    """

    def widths(separator: str) -> list[int]:
        found: list[int] = []
        with suppress(csv.Error):
            found.extend(len(fields) for fields in islice(filter(None, csv.reader(first, delimiter=separator, strict=True)), 2))
        return found

    if widths(usual)[:1] > [1]:
        return usual
    others = {separator: found for separator in SEPARATORS if len(set(found := widths(separator))) == 1 and found[0] > 1}
    return max(others, key=lambda separator: others[separator][0], default=usual)


def _other_separator(header: Sequence[str], separator: str) -> str:
    """A hint at another separator in a header of one column."""
    others = [name for sign, name in SEPARATORS.items() if sign != separator and len(header) == 1 and sign in header[0]]
    return f"; fields seem to be separated by {others[0]}, but not everywhere" if others else ""


def _quoting(problem: str) -> str:
    return "a quote that opens here is never closed" if problem == "unexpected end of data" else problem


def parquet(path: Path, file: IO[bytes], _: str | None) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet

    with _columnar(path, file, "Parquet"):
        yield from _batches(path, pyarrow.parquet.ParquetFile(file).iter_batches())


def arrow(path: Path, file: IO[bytes], _: str | None) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    with _columnar(path, file, "Arrow"):
        # The hub's data sets are Arrow streams; other programs write Arrow files.
        if file.peek(6)[:6] == b"ARROW1":  # type: ignore[attr-defined]
            table = pa.ipc.open_file(file)
            yield from _batches(path, (table.get_batch(i) for i in range(table.num_record_batches)))
        else:
            yield from _batches(path, pa.ipc.open_stream(file))


def xlsx(path: Path, file: IO[bytes], _: str | None) -> Iterator[tuple[str, Any]]:
    """The rows of the first sheet that is not empty. Rows and columns without any cell are left out, as are nameless columns."""
    sheets = ((name, _without_blank_rows(table)) for name, table in workbook_tables(path, file))
    name, numbered = next(((name, rows) for name, rows in sheets if rows), ("", []))
    log.info("%s: read the sheet '%s'", path, name)
    for begun, (number, cells) in enumerate(numbered):
        if not begun:
            header = [str("" if is_blank(cell) else cell).strip() for cell in cells]
            check_once(path, f"row {number}", "column", repeated_of(filter(None, map(one_form, header))))
        else:
            yield f"row {number}", {column: cell for column, cell in zip(header, cells, strict=True) if column}


def _without_blank_rows(table: Iterable[Sequence[Any]]) -> list[tuple[int, Sequence[Any]]]:
    """The rows that have anything in them, with their numbers as a spreadsheet shows them."""
    return [(number, row) for number, row in enumerate(table, start=1) if not all(map(is_blank, row))]


@contextmanager
def _columnar(path: Path, file: IO[bytes], expected: str) -> Iterator[None]:
    """Turn what pyarrow raises about a file into a sentence."""
    found = kind_of(file.peek(LOOKED_AT))  # type: ignore[attr-defined]
    if found and expected not in found:
        raise UserError(f"{path}: this is {found}, not {expected} as its name says.")
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise UserError(
            f"{path}: not {'an' if expected == 'Arrow' else 'a'} {expected} file, or a cut or damaged one ({reason})."
        ) from None


def _batches(path: Path, batches: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    number = 0
    for batch in batches:
        # Damaged lengths and texts are found here, before they are followed.
        batch.validate(full=True)
        check_once(path, "schema", "column", _repeated_columns(batch.schema))
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _repeated_columns(fields: Iterable[Any], within: str = "") -> list[str]:
    """The names that fields of an Arrow schema have in common, also within the structures of a column."""
    fields = list(fields)
    found = [f"{within}{name}" for name in repeated_of(field.name for field in fields)]
    for field in fields:
        inner = [field.type.field(i) for i in range(field.type.num_fields)]
        found += _repeated_columns(inner, within or f"{field.name}.")
    return found
