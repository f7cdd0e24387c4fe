"""Any file gives rows or one sentence with its name; what is written in a form is read back from it."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tempfile
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.data.rows import READERS, read_rows
from loragrid.errors import UserError
from loragrid.runtime.paths import file_problem

small = settings(max_examples=60, deadline=None, derandomize=True)

CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\ufeff")
TEXTS = st.text(CHARACTERS, max_size=8)
COLUMNS = st.lists(
    st.text(st.characters(categories=("Ll", "Lu")), min_size=1, max_size=5), min_size=2, max_size=4, unique_by=str.casefold
)
PACKED = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def rows_of(name: str, data: bytes, encoding: str | None = None) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        sentence = None
        try:
            return [row for _, row in read_rows(path, encoding)]
        except UserError as error:
            sentence = str(error)
            raise
        finally:
            assert sentence is None or (str(path) in sentence and "\n" not in sentence), sentence


def tables(texts):
    return COLUMNS.flatmap(lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, texts)), min_size=1, max_size=5))


@small
@given(st.binary(max_size=300), st.sampled_from(sorted(READERS)), st.sampled_from(sorted(PACKED)), st.booleans())
def test_any_bytes_give_rows_or_one_sentence_with_the_file(data, kind, packing, is_packed):
    try:
        rows = rows_of(f"r{kind}{packing}", PACKED[packing](data) if is_packed else data)
    except UserError:
        return
    assert all(isinstance(row, dict) for row in rows)


@small
@given(
    st.text(max_size=200),
    st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".txt"]),
    st.sampled_from(["utf-8", "utf-16", "cp1252", "utf-16-le"]),
)
def test_any_text_gives_rows_or_one_sentence_with_the_file(text, kind, encoding):
    with suppress(UserError):
        rows_of(f"r{kind}", text.encode(encoding, errors="replace"))


@small
@given(
    tables(TEXTS),
    st.sampled_from(",;\t|"),
    st.sampled_from(["csv", "tsv"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_separated_fields_come_back(rows, separator, kind, encoding):
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    assert rows_of(f"r.{kind}", file.getvalue().encode(encoding)) == rows


@small
@given(tables(TEXTS | st.integers() | st.none() | st.lists(TEXTS, max_size=3)), st.booleans(), st.sampled_from(sorted(PACKED)))
def test_json_comes_back(rows, in_lines, packing):
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    # One line alone is one object, and no list.
    text = lines if in_lines and len(rows) > 1 else json.dumps(rows)
    assert rows_of(f"r.json{packing}", PACKED[packing](text.encode())) == rows
    assert rows_of(f"r.jsonl{packing}", PACKED[packing](lines.encode())) == rows


@small
@given(tables(TEXTS | st.none()))
def test_columns_come_back(rows):
    file, table = io.BytesIO(), pa.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, file)
    assert rows_of("r.parquet", file.getvalue()) == rows


@small
@given(st.lists(TEXTS, min_size=1, max_size=5), st.sampled_from(["cp1252", "latin-1", "utf-16-le", "shift_jis"]))
def test_text_in_a_stated_encoding_comes_back(texts, encoding):
    data = "\n".join(json.dumps({"a": text}, ensure_ascii=False) for text in texts).encode(encoding, errors="ignore")
    assert rows_of("r.jsonl", data, encoding) == [json.loads(line) for line in data.decode(encoding).split("\n")]


@small
@given(st.text(min_size=1, max_size=60) | st.from_regex(r"\A[a-z]{1,5}://.{0,30}\Z"))
def test_any_path_is_a_file_or_has_a_sentence(path):
    problem = file_problem(path)
    assert problem is None or problem.endswith((".", "?"))
