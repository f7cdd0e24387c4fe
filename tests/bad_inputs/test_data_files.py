"""Files of data that cannot be read: one sentence with the file, the line, and what to do."""

import bz2
import gzip
import io
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from loragrid.config.messages import sentence_of
from loragrid.config.on_disk import missing_files
from loragrid.config.root import Config
from loragrid.data.rows import built_rows, read_rows
from loragrid.data.sources import FileSource
from loragrid.errors import UserError
from loragrid.runtime.packages import verify_sha256
from loragrid.runtime.paths import file_problem
from loragrid.runtime.spreadsheets import read_sheet
from loragrid.runtime.templates import expression_error, fill_from_row, syntax_error
from loragrid.scoring.scorers.ratings import read_ratings

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
ROWS = [{"frage": "Wie heißt das?", "antwort": "Übung"}, {"frage": "Wo?", "antwort": "hier; dort"}]
CSV = 'frage,antwort\nWie heißt das?,Übung\nWo?,"hier; dort"\n'
TO_UTF8 = "convert the file by `iconv -f cp1252 -t utf-8`, which turns text of Windows into UTF-8, or say `encoding: cp1252` if a source reads it"  # fmt: skip
CUT = "the file is cut or damaged, or not what its name says"


def parquet() -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS * 50), file)
    return file.getvalue()


def arrow(stream: bool) -> bytes:
    file, table = io.BytesIO(), pa.Table.from_pylist(ROWS * 50)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table)
    return file.getvalue()


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def refusal_of(read, *arguments) -> str:
    with pytest.raises(UserError) as caught:
        list(read(*arguments))
    return str(caught.value)


FILES = [
    # What is cut, damaged, or something else than its name says.
    ("r.jsonl", b"", "FILE: the file is empty; expected rows."),
    ("r.csv", b"", "FILE: the file is empty; expected rows."),
    ("r.parquet", b"", "FILE: the file is empty; expected rows."),
    ("r.json.gz", gzip.compress(b""), "FILE: the file is empty; expected rows."),
    ("r.csv.gz", gzip.compress(CSV.encode())[:-12], f"FILE: {CUT} (Compressed file ended before the end-of-stream marker was reached); fetch it again."),
    ("r.csv.gz", b"", "FILE: the file is empty; expected rows."),
    ("r.csv.bz2", bz2.compress(CSV.encode())[:-4], f"FILE: {CUT} (Compressed file ended before the end-of-stream marker was reached); fetch it again."),
    ("r.csv.xz", lzma.compress(CSV.encode())[:-4], f"FILE: {CUT} (Compressed file ended before the end-of-stream marker was reached); fetch it again."),
    ("r.csv.gz", CSV.encode(), f"FILE: {CUT} (Not a gzipped file (b'fr')); fetch it again."),
    ("r.csv.bz2", CSV.encode(), f"FILE: {CUT} (Invalid data stream); fetch it again."),
    ("r.csv.xz", CSV.encode(), f"FILE: {CUT} (Input format not supported by decoder); fetch it again."),
    ("r.csv", gzip.compress(CSV.encode()), "FILE: this is compressed by gzip, not text as its name says; rename it, or fetch it again."),
    ("r.csv", workbook(), "FILE: this is a ZIP archive, as XLSX is, not text as its name says; save the sheet as CSV (UTF-8)."),
    ("r.jsonl", parquet(), "FILE: this is a Parquet file, not text as its name says; rename it, or fetch it again."),
    ("r.json", b"<!DOCTYPE html>\n<html>Please log in</html>", "FILE: this is a page of the web or XML, not text as its name says; rename it, or fetch it again."),
    ("r.parquet", b"<html>Not found</html>", "FILE: this is a page of the web or XML, not Parquet as its name says."),
    ("r.parquet", arrow(stream=False), "FILE: this is an Arrow file, not Parquet as its name says."),
    ("r.arrow", parquet(), "FILE: this is a Parquet file, not Arrow as its name says."),
    ("r.parquet", CSV.encode(), "FILE: not a Parquet file, or a cut or damaged one (Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file)."),
    ("r.xls", b"\xd0\xcf\x11\xe0", "FILE: unknown kind of file; expected one of .json, .jsonl, .csv, .tsv, .xlsx, .parquet, .arrow, .txt, also with .gz or .bz2 or .xz; save the sheet as XLSX or CSV (UTF-8)."),
    ("r.csv.zip", workbook(), "FILE: unknown kind of file; expected one of .json, .jsonl, .csv, .tsv, .xlsx, .parquet, .arrow, .txt, also with .gz or .bz2 or .xz; unpack it first."),
    ("r.pkl", b"\x80\x04\x95", "FILE: unknown kind of file; expected one of .json, .jsonl, .csv, .tsv, .xlsx, .parquet, .arrow, .txt, also with .gz or .bz2 or .xz; such a file could run code when it is read: write its rows as JSONL."),
    *((f"r.{kind}", POINTER, "'FILE' is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`.") for kind in ("csv", "json", "jsonl", "txt", "parquet", "arrow", "csv.gz")),
    # What is not UTF-8.
    ("r.csv", CSV.encode("cp1252"), f"FILE, line 2: not UTF-8 text (byte 8 is 0xDF); {TO_UTF8}."),
    ("r.tsv", "a\tb\n1\té\n".encode("latin-1"), f"FILE, line 2: not UTF-8 text (byte 3 is 0xE9); {TO_UTF8}."),
    ("r.jsonl", b'{"a": 1}\n{"a": "\xfc"}\n', f"FILE, line 2: not UTF-8 text (byte 8 is 0xFC); {TO_UTF8}."),
    ("r.json", b'[{"a": 1},\n{"a": "\xfc"}]', f"FILE, line 2: not UTF-8 text (byte 8 is 0xFC); {TO_UTF8}."),
    ("r.txt", b"<A>1\n" + b"x" * 70_000 + b"\xe4\n", f"FILE, line 2: not UTF-8 text (byte 70001 is 0xE4); {TO_UTF8}."),
    ("r.csv", "a,b\n1,ü".encode()[:-1], "FILE, line 2: not UTF-8 text (byte 3 is 0xC3, and the text ends within a character); the file seems to be cut."),
    ("r.csv", "a,b\n1,ü\n".encode("utf-16-le"), "FILE, line 1: found a NUL byte; it seems to be UTF-16-LE without a byte order mark; convert the file by `iconv -f utf-16-le -t utf-8`, which turns it into UTF-8, or say `encoding: utf-16-le` if a source reads it."),
    ("r.jsonl", '{"a": 1}\n'.encode("utf-16-be"), "FILE, line 1: found a NUL byte; it seems to be UTF-16-BE without a byte order mark; convert the file by `iconv -f utf-16-be -t utf-8`, which turns it into UTF-8, or say `encoding: utf-16-be` if a source reads it."),
    ("r.csv", "a,b\n1,ü\n".encode("utf-16")[:-1], "FILE, line 2: not UTF-16 text (the text ends within a character), as its byte order mark or the setting `encoding` says."),
    ("r.csv", b"a,b\n1,2\x00\n", "FILE, line 2: found a NUL byte; text holds none."),
    ("r.txt", b"<A>1\n<B>\x00\x00\n", "FILE, line 2: found a NUL byte; text holds none."),
    # What is malformed.
    ("r.csv", b'a,b\n1,2\n"3,4\n5,6\n', "FILE, line 3: malformed row (a quote that opens here is never closed)."),
    ("r.csv", b"a;b\n1;2;3\n3,4;5\n", "FILE, line 3: expected 1 fields as in the header, found 2; fields seem to be separated by semicolons, but not everywhere."),
    ("r.csv", b"a;b\n1;2\n3;4;5\n", "FILE, line 3: expected 2 fields as in the header, found 3."),
    ("r.jsonl", b"[" * 100_000 + b"\n", "FILE, line 1: not valid JSON (maximum recursion depth exceeded while decoding a JSON array from a unicode string, column 1)."),
    ("r.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", "FILE, line 1: not valid JSON (Exceeds the limit (4300 digits) for integer string conversion, column 1)."),
    ("r.json", b'{"data": [{"a": 1}], "version": 2}', "FILE: expected a list of objects, found dict; its rows may be under 'data'."),
    ("r.json", b'{"a": 1}\n{"a": \n', "FILE, line 2: not valid JSON (Expecting value, column 7)."),
    ("r.json", b'{\n "a": 1\n}\n{\n "a": 2\n}', "FILE, line 4: not valid JSON (Extra data, column 1)."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "sentence"), FILES, ids=lambda value: value[:70] if isinstance(value, str) else "")
def test_file_of_rows_that_cannot_be_read_is_named_with_what_to_do(tmp_path, name, data, sentence):
    path = tmp_path / name
    path.write_bytes(data)
    assert refusal_of(read_rows, path) == sentence.replace("FILE", str(path))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream.arrow"])
def test_columnar_file_that_is_cut_or_changed_is_named_or_gives_rows(tmp_path, kind):
    data = parquet() if kind == "parquet" else arrow(stream=kind == "stream.arrow")
    path = tmp_path / f"r.{kind}"
    for end in range(1, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:end])
        if kind != "stream.arrow":
            assert refusal_of(read_rows, path).startswith(f"{path}: ")
        for changed in (data[:end], data[: end - 1] + bytes([data[end - 1] ^ 0xFF]) + data[end:]):
            path.write_bytes(changed)
            try:
                list(read_rows(path))
            except UserError as error:
                assert str(error).startswith(str(path))  # noqa: PT017 (a change may also give other rows)


@pytest.mark.parametrize(
    ("name", "data", "encoding"),
    [
        ("r.csv", CSV.encode("utf-8-sig"), None),
        ("r.csv", CSV.encode("utf-16"), None),
        ("r.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), None),
        ("r.csv", CSV.encode("utf-32"), None),
        ("r.csv", CSV.encode("cp1252"), "cp1252"),
        ("r.csv", CSV.encode("utf-16-le"), "utf-16-le"),
        ("r.csv", CSV.encode("utf-8-sig"), "cp1252"),
        ("r.csv", ("\ufeff" + CSV).encode("utf-16-le"), "utf-16-le"),
        ("r.CSV.xz", lzma.compress(CSV.encode()), None),
        ("r.csv", CSV.replace(",", ";").replace("hier;", "hier;").encode(), None),
        ("r.csv", CSV.replace(",", "\t").encode(), None),
        ("r.csv", CSV.replace(",", "|").encode(), None),
        ("r.tsv", CSV.replace(",", "\t").encode(), None),
        ("r.csv", ("sep=^\r\n" + CSV.replace(",", "^")).encode(), None),
        ("r.csv", ("\n\n" + CSV).encode(), None),
        ("r.tsv", CSV.encode(), None),
        ("r.tsv", CSV.replace(",", ";").encode(), None),
        ("r.json", '{"frage": "Wie heißt das?", "antwort": "Übung"}\r\n\n{"frage": "Wo?", "antwort": "hier; dort"}'.encode(), None),
        ("r.json", '[{"frage": "Wie heißt das?", "antwort": "Übung"}, {"frage": "Wo?", "antwort": "hier; dort"}]'.encode("utf-16-le"), None),
        ("r.txt", "<FRAGE>Wie heißt das?\n<ANTWORT>Übung\n<FRAGE>Wo?\n<ANTWORT>hier; dort".encode("utf-16"), None),
    ],
)  # fmt: skip
def test_text_in_other_forms_gives_the_same_rows(tmp_path, name, data, encoding):
    (tmp_path / name).write_bytes(data)
    assert [row for _, row in read_rows(tmp_path / name, encoding)] == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "a\nx;y\nz\n",  # a header without another sign
        "a;b\n",  # nothing to compare the header with, but a column of this name was read so before
        "a;b\nno sign here\n",
        '"a;b"\n"1;2"\n',
        "a,b;c\n1,2;3\n",
    ],
)
def test_file_that_was_read_with_commas_is_read_so_still(tmp_path, text):
    import csv

    (tmp_path / "r.csv").write_text(text)
    expected = list(csv.DictReader(io.StringIO(text)))
    if text == "a;b\n":
        assert list(read_rows(tmp_path / "r.csv")) == expected == []
    assert [row for _, row in read_rows(tmp_path / "r.csv")] == expected


def test_log_says_what_was_decided(tmp_path, caplog):
    (tmp_path / "r.csv").write_text("a;b\n1;2\n")
    (tmp_path / "r.json").write_text('{"a": 1}\n{"a": 2}\n')
    with caplog.at_level("INFO", "loragrid"):
        assert [len(list(read_rows(tmp_path / name))) for name in ("r.csv", "r.json")] == [1, 2]
    assert caplog.messages == [
        f"{tmp_path}/r.csv: fields are separated by semicolons, as the header says",
        f"{tmp_path}/r.json: these are JSON lines",
    ]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("data", "is a folder; expected one file: it holds rows.csv, test.csv."),
        ("data/*s*.csv", "does not exist, though it fits 2 files: signs such as * and ? are not replaced; name one file, or join several in a builder."),
        ("data/{a,b}.csv", "does not exist."),
        ("~/rows.csv", "begins with '~', which is not replaced here; write '/home/me/rows.csv'."),
        ("$HOME/rows.csv", "holds a variable, which is not replaced here; write '/home/me/rows.csv'."),
        ("https://host.example/rows.csv", "is an address; expected a file on this machine: fetch it first (curl -O), and name the file."),
        ("s3://bucket/rows.csv", "is an address; expected a file on this machine: fetch it first (aws s3 cp), and name the file."),
        ("hf://datasets/stanfordnlp/sst2", "is an address of the hub; for a data set of the hub write `hub: stanfordnlp/sst2` with its `revision` and `splits`."),
        ("https://huggingface.co/datasets/a/b/resolve/main/x.csv", "is an address of the hub; for a data set of the hub write `hub: a/b` with its `revision` and `splits`."),
        ("file:///data/rows.csv", "is an address; write the path alone: '/data/rows.csv'."),
        ("C:\\Users\\me\\rows.csv", "is a path of Windows; write it as this system has it, as in '/mnt/c/data/rows.csv'."),
        ("data\\rows.csv", "does not exist; folders are separated by '/', as in 'data/rows.csv'."),
        ("data/rows.cvs", "does not exist; did you mean 'data/rows.csv'?"),
        (" data/rows.csv", "does not exist; did you mean 'data/rows.csv'?"),
        ("data/rows\0.csv", "holds a NUL byte, as no path does."),
        ("x" * 300, "cannot be a path (File name too long)."),
        ("none/rows.csv", "does not exist."),
        ("data/link.csv", "is a link to 'gone.csv', which does not exist."),
        ("data/annexed.csv", "is a link to '../.git/annex/objects/x', which does not exist; fetch the content with `git annex get`."),
        ("data/lfs.csv", "is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`."),
    ],
)  # fmt: skip
def test_path_that_is_no_file_says_what_to_write_instead(tmp_path, monkeypatch, path, problem):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "data").mkdir()
    for name in ("rows.csv", "test.csv"):
        (tmp_path / "data" / name).write_text("a,b\n1,2\n")
    (tmp_path / "data" / "link.csv").symlink_to("gone.csv")
    (tmp_path / "data" / "annexed.csv").symlink_to("../.git/annex/objects/x")
    if "lfs" in path:
        (tmp_path / "data" / "lfs.csv").write_bytes(POINTER)
    assert file_problem(path) == problem
    assert refusal_of(read_rows, path) == f"'{path}' {problem}"
    source = {"splits": {"test": {"path": path}}}
    others = ("models", "encoders", "reward_models", "configs", "external_predictions", "scorers", "tasks")
    config = Config.model_construct(sources={"s": FileSource.model_validate(source)}, **{name: {} for name in others})
    assert list(missing_files(config)) == [f"sources.s.splits.test.path: '{path}' {problem}"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return None", "gives NoneType for 'all'; expected a list of mappings."),
        ("return {'train': 'rows'}", "gives str for 'train'; expected a list of mappings."),
        ("yield {'a': 1}\n    raise KeyError('b')", "failed: KeyError: 'b'"),
    ],
)
def test_builder_that_gives_no_rows_is_named(tmp_path, body, sentence):
    (tmp_path / "mine.py").write_text(f"def rows(files):\n    {body}\n")
    builder = f"{tmp_path}/mine.py:rows"
    with pytest.raises(UserError) as caught:
        [list(rows) for rows in built_rows(builder, {}, {}).values()]
    assert str(caught.value).startswith(f"builder '{builder}'")
    assert sentence in str(caught.value)


def test_folder_of_a_package_is_no_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as package:
        package.writestr("pack/data/rows.csv", CSV)
    source = FileSource.model_validate({"package": "p==1", "splits": {"test": {"path": "pack/data"}}})
    with pytest.raises(UserError, match=r"p\.whl: 'pack/data' is a folder; expected one file\.$"):
        source.rows(tmp_path / "p.whl", tmp_path / "out")


def test_credentials_in_a_path_are_not_shown():
    assert refusal_of(read_rows, "https://me:secret@host/rows.csv?key=secret").startswith("'https://host/rows.csv' is an address")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"1,q,\xe9,5\n", f"FILE, line 1: not UTF-8 text (byte 5 is 0xE9); {TO_UTF8}."),
        (workbook(), "FILE: this is a ZIP archive, as XLSX is, not text as its name says; save the sheet as CSV (UTF-8)."),
        (POINTER, "'FILE' is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`."),
        (b"1,q,a\0,5\n", "FILE, line 1: found a NUL byte; text holds none."),
    ],
)
def test_file_of_ratings_that_is_no_such_text_is_named(tmp_path, data, sentence):
    (tmp_path / "r.csv").write_bytes(data)
    assert refusal_of(read_ratings, str(tmp_path / "r.csv"), 1) == sentence.replace("FILE", str(tmp_path / "r.csv"))


def test_file_of_ratings_in_utf_16_is_read(tmp_path):
    (tmp_path / "r.csv").write_bytes("1,Frage,Übung,5\n".encode("utf-16"))
    assert [rating.values for rating in read_ratings(str(tmp_path / "r.csv"), 1)] == [[5.0]]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("s.csv", "id,ok\n1,1\n".encode("utf-16-le"), "FILE, line 1: found a NUL byte; it seems to be UTF-16-LE without a byte order mark"),
        ("s.csv", workbook(), "FILE: this is a ZIP archive, as XLSX is, not text as its name says"),
        ("s.xlsx", workbook()[:40], "FILE: not a valid XLSX file ("),
        ("s.xlsx", POINTER, "'FILE' is a pointer of Git LFS, not the data"),
        ("s.csv", POINTER, "'FILE' is a pointer of Git LFS, not the data"),
    ],
)  # fmt: skip
def test_sheet_that_is_no_table_is_named(tmp_path, name, data, sentence):
    (tmp_path / name).write_bytes(data)
    assert refusal_of(read_sheet, tmp_path / name, ["id", "ok"]).startswith(sentence.replace("FILE", str(tmp_path / name)))


def test_pointer_is_told_before_its_hash(tmp_path):
    (tmp_path / "x").write_bytes(POINTER)
    with pytest.raises(UserError, match="x: this is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`"):
        verify_sha256(tmp_path / "x", "0" * 64, "x")


@pytest.mark.parametrize("encoding", ["utf8x", "base64", "rot13", "", "a\0b"])
def test_encoding_that_is_none_is_refused_by_the_configuration(encoding):
    with pytest.raises(ValidationError) as caught:
        FileSource.model_validate({"splits": {"test": {"path": "x.csv", "encoding": encoding}}})
    [error] = caught.value.errors()
    error["loc"] = ("sources", "s", "FileSource", *error["loc"])
    expected = "unknown encoding; expected a name such as utf-8, cp1252, latin-1 or utf-16-le"
    assert sentence_of(error) == f"sources.s.splits.test.encoding: {expected}, not {encoding!r}."


@pytest.mark.parametrize(
    ("problem", "name"),
    [
        (syntax_error("{{ Review Text }}"), "Review Text"),
        (syntax_error("Stars: {{ Star-Rating? | upper }}"), "Star-Rating?"),
        (syntax_error("{{ 2nd opinion }}"), "2nd opinion"),
        (syntax_error("{% if Review Text %}x{% endif %}"), "Review Text"),
        (syntax_error("{{ row.Review Text }}"), "Review Text"),
        (expression_error("Clothing ID != '' and x"), "Clothing ID"),
        (expression_error("not Review Text"), "Review Text"),
    ],
)
def test_name_with_spaces_is_told_how_to_be_written(problem, name):
    assert problem.endswith(f'; the name of a field with spaces or signs is written row["{name}"]')


@pytest.mark.parametrize(
    ("template", "end"),
    [
        ("{{ Star-Rating }}", '; a name with spaces or signs is written row["Star-Rating"].'),
        ("{{ Größe (cm) }}", '; a name with spaces or signs is written row["Größe (cm)"].'),
        ("{{ title }}", "; did you mean Title?"),
        ("{{ Reviews_Text }}", '; did you mean row["Review Text"]?'),
    ],
)
def test_field_that_a_row_lacks_is_told_with_the_one_that_was_meant(template, end):
    row = {"Title": "x", "Review Text": "x", "Star-Rating": "5", "Größe (cm)": "7"}
    assert refusal_of(fill_from_row, template, row).endswith(end)
