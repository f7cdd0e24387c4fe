"""Rows of raw data: from files of any usual format, from the hub, or from a function that the user wrote."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from loragrid.data.tables import Reader, arrow, check_once, parquet, repeated_of, separated, xlsx
from loragrid.errors import UserError
from loragrid.records import parse_json_lines
from loragrid.runtime.compressed import OPENERS, damage, opened
from loragrid.runtime.files import half_character
from loragrid.runtime.job import log
from loragrid.runtime.paths import file_problem, shown
from loragrid.runtime.text_files import lines_of, open_text
from loragrid.runtime.user_code import load_function, told

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands, for messages, and its fields."""


TAG = re.compile("<([A-Z][A-Z0-9 _]*)>")


INSTEAD = {
    **dict.fromkeys((".xls", ".ods"), "; save the sheet as XLSX or CSV (UTF-8)"),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".zst"), "; unpack it first"),
    **dict.fromkeys((".ndjson", ".jsonlines"), "; rename it to .jsonl"),
    **dict.fromkeys((".feather", ".ipc"), "; rename it to .arrow"),
    **dict.fromkeys((".pkl", ".pickle", ".pt"), "; such a file could run code when it is read: write its rows as JSONL"),
}
"""What to do with files of other kinds."""


def read_rows(path: str | Path, encoding: str | None = None) -> Iterator[Row]:
    """The rows of a file. Its ending says how it is read: .json (a list, or JSON lines), .jsonl, .csv, .tsv, .xlsx (its
    first sheet that is not empty), .parquet, .arrow or .txt, each also with .gz, .bz2 or .xz.

    A .txt file has blocks of tagged text. A line that begins with `<SOME TAG>` starts the field `some_tag`. Lines without a tag
    continue the field; they are joined without a separator. The first tag of the file starts each block; every block has the
    tags of the first block.

    Args:
        encoding: what a file of text is written in; None: UTF-8, or what its byte order mark says.

    Raises:
        UserError: naming file and line of a malformed row, an unknown ending, or a file that is damaged or something else.
    """
    if problem := file_problem(str(path)):
        raise UserError(f"'{shown(path)}' {problem}")
    path = Path(path)
    reader = READERS[kind_of_file(path)]
    try:
        with opened(path) as file:
            if not file.peek(1):  # type: ignore[attr-defined]
                raise UserError(f"{path}: the file is empty; expected rows.")
            for where, row in reader(path, file, encoding):
                if not isinstance(row, Mapping):
                    raise UserError(f"{path}, {where}: expected an object with fields, found {type(row).__name__}.")
                yield f"{path}, {where}", row
    except UserError:
        raise
    except Exception as error:
        if (found := damage(error)) is None:
            raise
        raise UserError(f"{path}: the file is cut or damaged, or not what its name says ({found}); fetch it again.") from None


def kind_of_file(path: Path) -> str:
    """The ending that says how a file is read.

    Raises:
        UserError: if it says nothing.
    """
    endings = [ending for ending in (ending.lower() for ending in path.suffixes) if ending not in OPENERS]
    kind = endings[-1] if endings else ""
    if kind not in READERS:
        expected = f"expected one of {', '.join(READERS)}, also with {' or '.join(OPENERS)}"
        raise UserError(f"{path}: unknown kind of file; {expected}{INSTEAD.get(kind, '')}.")
    return kind


def _json_lines(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    repeated: list[str] = []
    for number, value in parse_json_lines(path, lines, partial(_parsed, repeated)):
        check_once(path, f"line {number}", "key", repeated)
        yield f"line {number}", _of_whole_characters(path, f"line {number}", value)


def _parsed(repeated: list[str], text: str) -> Any:
    """The value of a JSON text; keys that stand twice in an object are added to `repeated`."""
    try:
        return json.loads(text, object_pairs_hook=partial(_object, repeated))
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, or thousands of brackets.
        raise json.JSONDecodeError(str(error).partition(":")[0], text, 0) from None


def _jsonl(path: Path, file: IO[bytes], encoding: str | None) -> Iterator[tuple[str, Any]]:
    yield from _json_lines(path, lines_of(open_text(path, file, encoding)))


def _json(path: Path, file: IO[bytes], encoding: str | None) -> Iterator[tuple[str, Any]]:
    # JSON without a byte order mark tells its encoding by its first characters.
    detected = json.detect_encoding(file.peek(4)[:4])  # type: ignore[attr-defined]
    text = "".join(lines_of(open_text(path, file, encoding or detected)))
    repeated: list[str] = []
    try:
        rows = _parsed(repeated, text)
    except json.JSONDecodeError as error:
        if _is_json_lines(text):
            log.info("%s: these are JSON lines", path)
            yield from _json_lines(path, text.split("\n"))
            return
        raise UserError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}).") from None
    if not isinstance(rows, list):
        hint = "; its rows may be under '{}'".format(*lists) if (lists := _lists_of_objects(rows)) else ""
        raise UserError(f"{path}: expected a list of objects, found {type(rows).__name__}{hint}.")
    if repeated:
        check_once(path, _repeating_entry(text), "key", repeated)
    for number, row in enumerate(rows, start=1):
        yield f"entry {number}", _of_whole_characters(path, f"entry {number}", row)


def _is_json_lines(text: str) -> bool:
    """Whether the first line that is not empty is an object by itself, and others follow."""
    first, _, others = text.lstrip().partition("\n")
    try:
        return isinstance(_parsed([], first), dict) and bool(others.strip())
    except json.JSONDecodeError:
        return False


def _lists_of_objects(value: Any) -> list[str]:
    """The keys of an object that hold lists of objects."""
    entries = value.items() if isinstance(value, Mapping) else ()
    return [key for key, inner in entries if isinstance(inner, list) and inner and isinstance(inner[0], Mapping)]


def _object(repeated: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; keys that stand twice in it are added to `repeated`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated += repeated_of([key for key, _ in pairs])
    return found


def _repeating_entry(text: str) -> str:
    """The first entry of a JSON list with a key that stands twice, and the line in which it begins."""
    repeated: list[str] = []
    decoder = json.JSONDecoder(object_pairs_hook=partial(_object, repeated))
    number, start, end = 0, 0, text.index("[") + 1
    while not repeated:
        start = len(text) - len(text[end:].lstrip(", \t\r\n"))
        _, end = decoder.raw_decode(text, start)
        number += 1
    return f"entry {number} (line {text.count(chr(10), 0, start) + 1})"


def _of_whole_characters(path: Path, where: str, value: Any) -> Any:
    """A JSON value, checked for half characters. JSON can spell them, as in a text that was cut off; no file can hold them."""
    if half := half_character(value):
        raise UserError(f"{path}, {where}: '{half}' is half a character; expected text.")
    return value


def _tagged(path: Path, file: IO[bytes], encoding: str | None) -> Iterator[tuple[str, Any]]:
    tags: list[str] = []
    for start, block in _blocks(path, lines_of(open_text(path, file, encoding))):
        tags = tags or list(block)
        if block.keys() != set(tags):
            expected, found = (" ".join(f"<{tag}>" for tag in some) for some in (tags, block))
            raise UserError(f"{path}, line {start}: expected a block with {expected} as the first one, found {found}.")
        fields = {tag: tag.lower().replace(" ", "_") for tag in block}
        check_once(path, f"line {start}", "field", repeated_of(fields.values()))
        yield f"line {start}", {fields[tag]: "".join(lines).strip() for tag, lines in block.items()}


def _blocks(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """The line in which each block of tagged text starts, and the block's lines by tag."""
    start, tag, block = 0, "", dict[str, list[str]]()
    # Lines end at a line feed and nowhere else: models write form feeds and Unicode's other line ends too.
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        if match := TAG.match(text):
            tag = match[1]
            if block and tag == next(iter(block)):
                yield start, block
                block = {}
            if tag in block:
                raise UserError(f"{path}, line {number}: <{tag}> stands twice in the block that starts in line {start}.")
            start = start if block else number
            block[tag] = [text[match.end() :]]
        elif block:
            block[tag].append(text)
        elif text.strip():
            raise UserError(f"{path}, line {number}: expected a line that begins with a <TAG>.")
    if block:
        yield start, block


READERS: dict[str, Reader] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": separated(","),
    ".tsv": separated("\t"),
    ".xlsx": xlsx,
    ".parquet": parquet,
    ".arrow": arrow,
    ".txt": _tagged,
}


def hub_rows(repository: str, name: str | None, revision: str, splits: Mapping[str, str]) -> dict[str, Iterator[Row]]:
    """The rows of a data set of the Hugging Face hub, by our names for the splits.

    Raises:
        UserError: naming repository and revision, if the data set cannot be loaded.
    """
    os.environ["HF_HUB_OFFLINE"] = "0"
    import datasets

    def load(split: str) -> Any:
        try:
            return datasets.load_dataset(repository, name, split=split, revision=revision)
        except Exception as error:
            raise UserError(f"hub data set '{repository}', split '{split}', could not be loaded: {error}") from error

    return {ours: numbered(f"{repository}, {theirs}", load(theirs)) for ours, theirs in splits.items()}


def built_rows(builder: str, files: Mapping[str, str], arguments: Mapping[str, Any]) -> dict[str, Iterator[Row]]:
    """The rows that a user's function gives, by split; `all` if it gives a list.

    Raises:
        UserError: naming the builder, if it is missing, fails, or gives something else.
    """
    with told(f"builder '{builder}'"):
        built = load_function(builder)(files=dict(files), **arguments)
    splits = built if isinstance(built, Mapping) else {"all": built}
    if unknown := splits.keys() - {"all", "train", "validation", "test"}:
        raise UserError(f"builder '{builder}': unknown split '{unknown.pop()}'; expected train, validation, test or all.")
    for split, rows in splits.items():
        if not isinstance(rows, Iterable) or isinstance(rows, str | bytes):
            raise UserError(f"builder '{builder}': gives {type(rows).__name__} for '{split}'; expected a list of mappings.")
    return {split: numbered(f"{builder}, {split}", _as_built(builder, rows)) for split, rows in splits.items()}


def _as_built(builder: str, rows: Iterable[Any]) -> Iterator[Any]:
    """The rows; if the function makes them one by one, what it raises then names it too."""
    with told(f"builder '{builder}'"):
        yield from rows


def numbered(origin: str, rows: Iterable[Any]) -> Iterator[Row]:
    """Rows with their place; `origin` says where they come from."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise UserError(f"{origin}, row {number}: expected a mapping of fields, found {type(row).__name__}.")
        yield f"{origin}, row {number}", row
