"""Files that users wrote, as text: UTF-8, or what a byte order mark or a setting says. Anything else is named, never guessed."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from loragrid.errors import UserError
from loragrid.runtime.paths import file_problem, shown

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and what they say. Longer ones come before those that they begin with."""


KINDS = (
    (b"PK\x03\x04", "a ZIP archive, as XLSX is"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xd0\xcf\x11\xe0", "an old Office document, as XLS is"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\xff\xff\xff\xff", "an Arrow stream"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x80\x04\x95", "a pickle of Python"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS"),
)
"""How files of other kinds begin."""


PAGE = re.compile(rb"\s*<(!(?i:doctype)|html|\?xml)\b")


CHUNK = 2**16
"""Bytes that are read at a time."""


LOOKED_AT = 512
"""Bytes from which the kind of a file is told."""


def kind_of(start: bytes) -> str | None:
    """What a file is by its first bytes, in words; None for text and for what is unknown."""
    if PAGE.match(start):
        return "a page of the web or XML"
    kind = next((name for begins, name in KINDS if start.startswith(begins)), None)
    # A table may have a column PAR1.
    is_text = re.search(rb"[\x00-\x08\x0e-\x1f\x80-\xff]", start) is None
    return None if kind and is_text and "LFS" not in kind else kind


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by this name."""
    try:
        return codecs.lookup(name)._is_text_encoding
    except (LookupError, ValueError):
        return False


class Text(NamedTuple):
    """A file of text that is being read."""

    path: Path
    file: IO[bytes]
    start: bytes
    """The first bytes, which are read already."""
    encoding: str


def open_text(path: str | Path, file: IO[bytes], encoding: str | None = None) -> Text:
    """Begin to read a file of text.

    Args:
        file: its bytes, uncompressed.
        encoding: what it is written in; a byte order mark counts more. None: UTF-8.

    Raises:
        UserError: naming the file, if it is no text.
    """
    start = file.read(LOOKED_AT)
    if kind := kind_of(start):
        raise UserError(f"{path}: this is {kind}, not text as its name says{_remedy(kind)}.")
    marked = next((marked for mark, marked in MARKS if start.startswith(mark)), None)
    if not (marked or encoding) and b"\0" in start:
        raise UserError(_of_nul(path, start.partition(b"\0")[0].count(b"\n") + 1, _of_pairs(start)))
    return Text(Path(path), file, start, marked or encoding or "utf-8")


def _remedy(kind: str) -> str:
    if "LFS" in kind:
        return "; fetch the content with `git lfs pull`"
    return "; save the sheet as CSV (UTF-8)" if "XLS" in kind else "; rename it, or fetch it again"


def lines_of(text: Text) -> Iterator[str]:
    """The lines of a text with their ends. A line ends at a line feed and nowhere else.

    Raises:
        UserError: naming file, line and byte of what is no text in the encoding.
    """
    pending: list[str] = []
    number = 1
    for piece in _decoded(text):
        first, *further = piece.split("\n")
        pending.append(first)
        for line in further:
            yield _checked(text, number, "".join(pending) + "\n")
            pending = [line]
            number += 1
    if last := "".join(pending):
        yield _checked(text, number, last)


def _checked(text: Text, number: int, line: str) -> str:
    if "\0" in line:
        raise UserError(_of_nul(text.path, number, None))
    return line


def _of_nul(path: str | Path, line: int, other: str | None) -> str:
    """The sentence about NUL bytes, which may speak for another encoding."""
    hint = f"it seems to be {other.upper()} without a byte order mark{_conversion(other)}" if other else "text holds none"
    return f"{path}, line {line}: found a NUL byte; {hint}."


def _of_pairs(start: bytes) -> str | None:
    """The encoding of two bytes a character that the zeros in the first bytes speak for."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    enough = len(start) // 4
    return "utf-16-le" if odd > enough >= even else "utf-16-be" if even > enough >= odd else None


def _decoded(text: Text) -> Iterator[str]:
    """The text in pieces."""
    decoder = codecs.getincrementaldecoder(text.encoding)()
    line, begun = 1, 0
    chunk = text.start
    while True:
        kept = len(decoder.getstate()[0])
        try:
            piece = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            raise UserError(_undecodable(text, line, begun - kept, error)) from None
        if not chunk:
            yield piece
            return
        # Encodings whose names say the order of bytes keep a byte order mark as a character.
        yield piece.removeprefix("\ufeff") if chunk is text.start and text.encoding.lower().startswith("utf-16-") else piece
        # For messages: the line that the next chunk goes on with, and how many bytes of it are read.
        line += piece.count("\n")
        begun = len(chunk) - chunk.rfind(b"\n") - 1 if b"\n" in chunk else begun + len(chunk)
        chunk = text.file.read(CHUNK)


def _undecodable(text: Text, line: int, begun: int, error: UnicodeError) -> str:
    """The sentence about bytes that are no text in the encoding.

    Args:
        line: the line in which the bytes begin that could not be decoded at once.
        begun: how many bytes of this line are before these.
    """
    name = text.encoding.removesuffix("-sig").upper()
    if not isinstance(error, UnicodeDecodeError):
        return f"{text.path}: not {name} text ({error})."
    before, byte = error.object[: error.start], error.object[error.start]
    line += before.decode(text.encoding.removesuffix("-sig"), errors="ignore").count("\n")
    cut = "the text ends within a character" if "unexpected end" in error.reason or "truncated" in error.reason else None
    where = f"{text.path}, line {line}"
    if name != "UTF-8":
        return f"{where}: not {name} text ({cut or error.reason}), as its byte order mark or the setting `encoding` says."
    within = len(before) - before.rfind(b"\n") - 1 if b"\n" in before else begun + len(before)
    problem = f"{where}: not UTF-8 text (byte {within + 1} is 0x{byte:02X}"
    return f"{problem}, and {cut}); the file seems to be cut." if cut else f"{problem}){_conversion('cp1252')}."


def _conversion(encoding: str) -> str:
    example = "which turns text of Windows into UTF-8" if encoding == "cp1252" else "which turns it into UTF-8"
    return f"; convert the file by `iconv -f {encoding} -t utf-8`, {example}, or say `encoding: {encoding}` if a source reads it"


def read_text(path: str | Path) -> str:
    """The text of a whole file.

    Raises:
        UserError: as `open_text` and `lines_of`, and if the path names no file.
    """
    if problem := file_problem(str(path)):
        raise UserError(f"'{shown(path)}' {problem}")
    with open(path, "rb") as file:
        return "".join(lines_of(open_text(path, file)))
