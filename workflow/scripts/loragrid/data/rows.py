"""Rows of raw data: from files of any usual format, from the hub, or from a function that the user wrote."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from loragrid.errors import UserError
from loragrid.records import parse_json_lines
from loragrid.runtime.user_code import load_function, told
from loragrid.text.words import one_form

Row = tuple[str, Mapping[str, Any]]
"""Where a row stands, for messages, and its fields."""


TAG = re.compile("<([A-Z][A-Z0-9 _]*)>")


# Fields of a CSV file may be whole documents.
csv.field_size_limit(2**31 - 1)


def read_rows(path: str | Path) -> Iterator[Row]:
    """The rows of a file. Its ending says how it is read: .json (a list), .jsonl, .csv, .tsv, .parquet, .arrow or .txt, each also
    with .gz or .bz2.

    A .txt file has blocks of tagged text. A line that begins with `<SOME TAG>` starts the field `some_tag`. Lines without a tag
    continue the field; they are joined without a separator. The first tag of the file starts each block; every block has the
    tags of the first block.

    Raises:
        UserError: naming file and line of a malformed row, or an unknown ending.
    """
    path = Path(path)
    endings = [ending for ending in path.suffixes if ending not in (".gz", ".bz2")]
    kind = endings[-1] if endings else ""
    try:
        reader = READERS[kind]
    except KeyError:
        raise UserError(f"{path}: unknown kind of file; expected one of {', '.join(READERS)}, also with .gz or .bz2.") from None
    with _open(path) as file:
        for where, row in reader(path, file):
            if not isinstance(row, Mapping):
                raise UserError(f"{path}, {where}: expected an object with fields, found {type(row).__name__}.")
            yield f"{path}, {where}", row


def _open(path: Path) -> IO[bytes]:
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    opened: IO[bytes] = opener(path, "rb")
    return opened


def _text_lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{path}, line {number}: not UTF-8 text ({error.reason}).") from None


def _jsonl(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    repeated: list[str] = []
    parse = partial(json.loads, object_pairs_hook=partial(_object, repeated))
    for number, value in parse_json_lines(path, _text_lines(path, file), parse):
        _check_once(path, f"line {number}", "key", repeated)
        yield f"line {number}", _of_whole_characters(path, f"line {number}", value)


def _json(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    repeated: list[str] = []
    try:
        content = file.read()
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        rows = json.loads(text, object_pairs_hook=partial(_object, repeated))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text ({error.reason}).") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}).") from None
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of objects, found {type(rows).__name__}.")
    if repeated:
        _check_once(path, _repeating_entry(text), "key", repeated)
    for number, row in enumerate(rows, start=1):
        yield f"entry {number}", _of_whole_characters(path, f"entry {number}", row)


def _object(repeated: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; keys that stand twice in it are added to `repeated`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated += _repeated([key for key, _ in pairs])
    return found


def _repeated(names: Iterable[str]) -> list[str]:
    """The names that stand more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def _check_once(path: Path, where: str, what: str, repeated: Sequence[str]) -> None:
    """Raise a UserError if there are repeated names: which value is meant would be a guess."""
    if repeated:
        raise UserError(f"{path}, {where}: the {what} '{repeated[0]}' stands twice; expected each {what} once.")


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
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise UserError(f"{path}, {where}: '\\u{ord(half):04x}' is half a character; expected text.") from None
    return value


def _separated(delimiter: str) -> Callable[[Path, IO[bytes]], Iterator[tuple[str, Any]]]:
    def read(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
        reader = csv.reader(_text_lines(path, file), delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            # Names that look alike are one name. Columns without a name cannot be meant.
            _check_once(path, "line 1", "column", _repeated(filter(None, (one_form(name).strip() for name in header))))
            for fields in reader:
                if len(fields) not in (0, len(header)):
                    expected = f"expected {len(header)} fields as in the header, found {len(fields)}"
                    raise UserError(f"{path}, line {reader.line_num}: {expected}.")
                if fields:
                    yield f"line {reader.line_num}", dict(zip(header, fields, strict=True))
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: malformed row ({error}).") from None

    return read


def _tagged(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    tags: list[str] = []
    for start, block in _blocks(path, file):
        tags = tags or list(block)
        if block.keys() != set(tags):
            expected, found = (" ".join(f"<{tag}>" for tag in some) for some in (tags, block))
            raise UserError(f"{path}, line {start}: expected a block with {expected} as the first one, found {found}.")
        fields = {tag: tag.lower().replace(" ", "_") for tag in block}
        _check_once(path, f"line {start}", "field", _repeated(fields.values()))
        yield f"line {start}", {fields[tag]: "".join(lines).strip() for tag, lines in block.items()}


def _blocks(path: Path, file: IO[bytes]) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """The line in which each block of tagged text starts, and the block's lines by tag."""
    start, tag, block = 0, "", dict[str, list[str]]()
    # Lines end at a line feed and nowhere else: models write form feeds and Unicode's other line ends too.
    for number, line in enumerate(_text_lines(path, file), start=1):
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


def _parquet(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        yield from _batches(path, pyarrow.parquet.ParquetFile(file).iter_batches())
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not a Parquet file ({error}).") from None


def _arrow(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    try:
        magic = file.read(6)
        file.seek(0)
        # The hub's data sets are Arrow streams; other programs write Arrow files.
        if magic == b"ARROW1":
            table = pa.ipc.open_file(file)
            yield from _batches(path, (table.get_batch(i) for i in range(table.num_record_batches)))
        else:
            yield from _batches(path, pa.ipc.open_stream(file))
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: not an Arrow file ({error}).") from None


def _batches(path: Path, batches: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    number = 0
    for batch in batches:
        _check_once(path, "schema", "column", _repeated_columns(batch.schema))
        for row in batch.to_pylist():
            number += 1
            yield f"row {number}", row


def _repeated_columns(fields: Iterable[Any], within: str = "") -> list[str]:
    """The names that fields of an Arrow schema have in common, also within the structures of a column."""
    fields = list(fields)
    found = [f"{within}{name}" for name in _repeated(field.name for field in fields)]
    for field in fields:
        inner = [field.type.field(i) for i in range(field.type.num_fields)]
        found += _repeated_columns(inner, within or f"{field.name}.")
    return found


READERS: dict[str, Callable[[Path, IO[bytes]], Iterator[tuple[str, Any]]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
    ".arrow": _arrow,
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
    return {split: numbered(f"{builder}, {split}", rows) for split, rows in splits.items()}


def numbered(origin: str, rows: Iterable[Any]) -> Iterator[Row]:
    """Rows with their place; `origin` says where they come from."""
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise UserError(f"{origin}, row {number}: expected a mapping of fields, found {type(row).__name__}.")
        yield f"{origin}, row {number}", row
