import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from loragrid.data.rows import built_rows, hub_rows, read_rows
from loragrid.errors import UserError

GENERICS = Path(__file__).parents[4] / "shared" / "data" / "generics"
needs_generics = pytest.mark.skipif(not GENERICS.is_dir(), reason="needs the generics files under ../shared/data/generics")
ROWS = [{"a": "x, \"y\"", "b": "1"}, {"a": "two\nlines ü", "b": "2"}]  # fmt: skip


def as_csv(delimiter):
    quoted = [[value.replace('"', '""') for value in row.values()] for row in ROWS]
    return "\n".join(["a" + delimiter + "b", *(delimiter.join(f'"{v}"' for v in row) for row in quoted)]) + "\n"


TEXTS = {
    "json": json.dumps(ROWS),
    "jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n",
    "csv": as_csv(","),
    "tsv": as_csv("\t"),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_formats_are_read_plain_and_compressed(tmp_path, kind):
    data = TEXTS[kind].encode()
    (tmp_path / f"rows.{kind}").write_bytes(data)
    (tmp_path / f"rows.{kind}.gz").write_bytes(gzip.compress(data))
    (tmp_path / f"rows.{kind}.bz2").write_bytes(bz2.compress(data))
    for path in tmp_path.iterdir():
        assert [row for _, row in read_rows(path)] == ROWS


def test_columnar_formats_are_read(tmp_path):
    table = pa.Table.from_pylist(ROWS)
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "file.arrow", compression="uncompressed")
    with pa.ipc.new_stream(tmp_path / "stream.arrow", table.schema) as stream:
        stream.write_table(table)
    for path in tmp_path.iterdir():
        assert [row for _, row in read_rows(path)] == ROWS, path


def test_blocks_of_tagged_text_are_read(tmp_path):
    text = "\ufeff<QUERY>\t All otters  swim.\n<MODEL OUTPUT>\t False,\n\n some <b>do\n<EXPECTED OUTPUT> True\n\n\n<QUERY>2\n<EXPECTED OUTPUT>\n<MODEL OUTPUT>x\n"
    expected = [
        {"query": "All otters  swim.", "model_output": "False, some <b>do", "expected_output": "True"},
        {"query": "2", "model_output": "x", "expected_output": ""},
    ]
    for name, data in {"a.txt": text, "b.txt": text.removesuffix("\n"), "c.txt": text.replace("\n", "\r\n")}.items():
        (tmp_path / name).write_bytes(data.encode())
        assert list(read_rows(tmp_path / name)) == [
            (f"{tmp_path / name}, line {line}", row) for line, row in zip((1, 8), expected, strict=True)
        ]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r"])
def test_only_line_feeds_end_the_lines_of_tagged_text(tmp_path, separator):
    (tmp_path / "r.txt").write_bytes(f"<A>1{separator}<B> is no tag\n<B>2\n".encode())
    assert [row for _, row in read_rows(tmp_path / "r.txt")] == [{"a": f"1{separator}<B> is no tag", "b": "2"}]


@needs_generics
@pytest.mark.parametrize(("name", "rows"), [("model6", 844), ("model3", 420)])
def test_published_outputs_are_read(name, rows):
    found = [row for _, row in read_rows(GENERICS / f"{name}_outputs.txt")]
    assert len(found) == len({row["query"] for row in found}) == rows
    assert all(row.keys() == {"query", "model_output", "expected_output"} and all(row.values()) for row in found)


def refusal_of(path, data):
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("r.jsonl", b'{"a": 1}\n{"a": \n', "line 2: not valid JSON"),
        ("r.jsonl", b"[1]\n", "line 1: expected an object with fields, found list."),
        ("r.jsonl", b'{"a": "\xff"}\n', "line 1: not UTF-8 text"),
        ("r.json", b'[{"a": "\xff"}]', "not UTF-8 text"),
        ("r.jsonl", b'{"a": 1}\n{"a": ["cut \\ud83d"]}\n', r"line 2: '\ud83d' is half a character"),
        ("r.json", b'[{"a": "\\udE00"}]', r"entry 1: '\ude00' is half a character"),
        ("r.json", b'{"a": 1}', "expected a list of objects, found dict."),
        ("r.json", b'[\n{"a": 1},\n}', "line 3: not valid JSON"),
        ("r.csv", b"a,b\n1,2\n1,2,3\n", "line 3: expected 2 fields as in the header, found 3."),
        ("r.csv", b'a,b\n1,"2" x\n', "line 2: malformed row"),
        ("r.parquet", b"PAR1", "not a Parquet file"),
        ("r.arrow", b"ARROW1 but no more", "not an Arrow file"),
        ("r.txt", b"\nhello\n<A>x\n", "line 2: expected a line that begins with a <TAG>."),
        ("r.txt", b"<A>1\n<B>2\n\n<A>3\n<C>4\n", "line 4: expected a block with <A> <B> as the first one, found <A> <C>."),
        ("r.txt", b"<A>1\n<B>2\n\n<A>3\n", "line 4: expected a block with <A> <B> as the first one, found <A>."),
        ("r.txt", b"<A>1\n<B>2\n<B>3\n", "line 3: <B> stands twice in the block that starts in line 1."),
        ("r.txt", b"<A>1\n\xff\n", "line 2: not UTF-8 text"),
        ("r.xml", b"", "unknown kind of file; expected one of .json, .jsonl"),
    ],
)
def test_malformed_file_is_named_with_line_and_reason(tmp_path, name, data, message):
    path = tmp_path / name
    refusal = refusal_of(path, data)
    assert refusal.startswith(str(path))
    assert message in refusal


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("r.csv", b"id,label,x,label\n1,2,3,4\n", "line 1: the column 'label' stands twice; expected each column once."),
        ("r.tsv", b"a\ta\n1\t2\n", "line 1: the column 'a' stands twice"),
        ("r.csv", "é, e\u0301,x\n1,2,3\n".encode(), "line 1: the column 'é' stands twice"),
        ("r.jsonl", b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n', "line 2: the key 'a' stands twice; expected each key once."),
        ("r.jsonl", b'{"a": {"b": [{"c": 1, "c": 1}]}}\n', "line 1: the key 'c' stands twice"),
        ("r.json", b'[{"a": 1},\n\n {"b": {"c": 1, "c": 2}}]', "entry 2 (line 3): the key 'c' stands twice"),
        ("r.txt", b"<A B>1\n<A_B>2\n", "line 1: the field 'a_b' stands twice"),
    ],
)
def test_name_that_stands_twice_is_refused(tmp_path, name, data, message):
    path = tmp_path / name
    assert refusal_of(path, data).startswith(f"{path}, {message}")


def test_column_that_stands_twice_in_a_schema_is_refused(tmp_path):
    double = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    nested = pa.table({"a": pa.ListArray.from_arrays([0, 1], double)})
    for table, name in ((pa.Table.from_arrays([pa.array([1])] * 2, names=["a", "a"]), "a"), (nested, "a.x")):
        pyarrow.parquet.write_table(table, tmp_path / "r.parquet")
        with pa.ipc.new_file(tmp_path / "r.arrow", table.schema) as file:
            file.write_table(table)
        for path in tmp_path.iterdir():
            with pytest.raises(UserError, match=f"schema: the column '{name}' stands twice"):
                list(read_rows(path))


def test_columns_without_a_name_are_no_problem(tmp_path):
    (tmp_path / "r.csv").write_text("a,,\n1,2,3\n")
    assert [row["a"] for _, row in read_rows(tmp_path / "r.csv")] == ["1"]


def test_place_of_a_row_is_told(tmp_path):
    (tmp_path / "r.csv").write_text('a,b\n"x\ny",1\nz,2\n')
    assert [where for where, _ in read_rows(tmp_path / "r.csv")] == [f"{tmp_path}/r.csv, line 3", f"{tmp_path}/r.csv, line 4"]


@pytest.fixture
def builder(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "def flat(files, size):\n    return [{'n': i, 'of': files['x']} for i in range(size)]\n"
        "def split(files):\n    return {'train': [{'n': 1}], 'test': [{'n': 2}]}\n"
        "def wrong(files):\n    return {'dev': []}\n"
        "def numbers(files):\n    return [1]\n"
        "def broken(files):\n    raise ValueError('no such thing')\n"
    )
    return lambda function, files=None, **arguments: {
        split: [row for _, row in found] for split, found in built_rows(f"{path}:{function}", files or {}, arguments).items()
    }


def test_function_of_the_user_gives_all_rows_or_splits(builder):
    assert builder("flat", {"x": "f"}, size=2) == {"all": [{"n": 0, "of": "f"}, {"n": 1, "of": "f"}]}
    assert builder("split") == {"train": [{"n": 1}], "test": [{"n": 2}]}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("broken", "failed: ValueError: no such thing"),
        ("missing", "failed: AttributeError"),
        ("wrong", "unknown split 'dev'; expected train, validation, test or all."),
        ("numbers", "row 1: expected a mapping of fields, found int."),
    ],
)
def test_function_that_fails_is_named_with_the_reason(builder, function, message):
    with pytest.raises(UserError) as caught:
        builder(function)
    assert f"mine.py:{function}" in str(caught.value)
    assert message in str(caught.value)


def test_hub_data_set_is_loaded_by_its_splits(tmp_path, monkeypatch):
    # The hub's library takes a folder in the place of a repository.
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / f"{split}.jsonl").write_text(f'{{"a": "{split} 1"}}\n{{"a": "{split} 2"}}\n')
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    found = hub_rows(str(tmp_path / "data"), None, "main", {"train": "train", "test": "test"})
    assert {split: [row for _, row in rows] for split, rows in found.items()} == {
        split: [{"a": f"{split} 1"}, {"a": f"{split} 2"}] for split in ("train", "test")
    }
    with pytest.raises(UserError, match="split 'dev', could not be loaded"):
        hub_rows(str(tmp_path / "data"), None, "main", {"validation": "dev"})
