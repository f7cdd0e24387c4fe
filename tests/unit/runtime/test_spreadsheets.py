import csv
import re
import zipfile

import pytest

from loragrid.errors import UserError
from loragrid.runtime.spreadsheets import (
    CUT,
    LONGEST,
    UncomputedFormula,
    fitted,
    read_sheet,
    set_text,
    to_number,
    write_csv,
    write_workbook,
)

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "  =1", '"=1', "' -1", "＝1", "=", "\u00a0+1"]
FORMULAS += [
    "\u202e=1",
    "\u200b=1",
    "\ufeff=1",
    "\u200b \u202e\t@x",
    "\u00ad-1",
    "\ufe0f+1",
    "\u3164=1",
    "\x00=1",
    "﹦1",
    "'\tx",
    "\u0301=1",
]
TEXTS = ["", "a\r=1", "a = b", "Yes - no", "1+1", "'quoted'", "mail@x", "\\=", "#N/A"]


@pytest.fixture
def workbook():
    from openpyxl import Workbook

    return Workbook()


@pytest.mark.parametrize("text", FORMULAS)
def test_what_could_be_a_formula_gets_an_apostrophe_in_csv(text, tmp_path):
    write_csv(tmp_path / "x.csv", ["a", "b"], [["plain", text]])
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["plain", f"'{text}"]]


@pytest.mark.parametrize("text", TEXTS)
def test_other_text_stays_as_it_is_in_its_cell(text, tmp_path):
    write_csv(tmp_path / "x.csv", ["a", "b"], [[text, "plain"]])
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], [text, "plain"]]


@pytest.mark.parametrize("text", FORMULAS + TEXTS[1:])
def test_workbook_holds_text_as_text(text, tmp_path, workbook):
    from openpyxl import load_workbook

    set_text(workbook.active["A1"], text)
    write_workbook(tmp_path / "x.xlsx", workbook)
    cell = load_workbook(tmp_path / "x.xlsx").active["A1"]
    assert (cell.data_type, cell.value) == ("s", fitted(text))
    assert bool(cell.quotePrefix) == (text in FORMULAS)
    xml = zipfile.ZipFile(tmp_path / "x.xlsx").read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in xml
    assert re.search(r'<c r="A1"[^>]* t="(\w+)"', xml)[1] in ("inlineStr", "s")


def test_nothing_in_a_workbook_says_when_it_was_written(tmp_path, workbook):
    set_text(workbook.active["A1"], "text")
    write_workbook(tmp_path / "x.xlsx", workbook)
    with zipfile.ZipFile(tmp_path / "x.xlsx") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        dates = re.findall(rb"\d{4}-\d\d-\d\dT[\d:]+Z", archive.read("docProps/core.xml"))
        assert dates == [b"1980-01-01T00:00:00Z"] * 2


def test_characters_that_no_sheet_can_hold_are_replaced(tmp_path, workbook):
    text = "a\x00b\x1b[0mc\ufffe\ud800\nd\te"
    assert fitted(text) == "a�b�[0mc��\nd\te"
    set_text(workbook.active["A1"], text)
    write_workbook(tmp_path / "x.xlsx", workbook)


@pytest.mark.parametrize("letter", ["a", "😀"])
def test_text_is_cut_where_a_cell_ends(letter):
    def units(text):
        return len(text.encode("utf-16-le")) // 2

    fits = letter * (LONGEST // units(letter))
    assert fitted(fits) == fits
    cut = fitted(fits + letter)
    assert cut.endswith(CUT)
    assert LONGEST - 1 <= units(cut) <= LONGEST
    assert set(cut.removesuffix(CUT)) == {letter}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_is_read_as_any_spreadsheet_saves_it(separator, encoding, tmp_path):
    with open(tmp_path / "x.csv", "w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator).writerows([["id", "text", "ok "], ["1", "ä, b;\n\tc", "0,5"], [], ["2", "d"]])
    assert read_sheet(tmp_path / "x.csv", ["id", "ok"]) == [
        (2, {"id": "1", "text": "ä, b;\n\tc", "ok": "0,5"}),
        (3, {"id": None, "text": None, "ok": None}),
        (4, {"id": "2", "text": "d", "ok": None}),
    ]


def test_workbook_is_read_from_the_sheet_that_has_the_columns(tmp_path, workbook):
    workbook.active.append(["something", "else"])
    sheet = workbook.create_sheet()
    sheet.append(["id", "ok"])
    sheet.append(["1", 0.5])
    workbook.save(tmp_path / "x.xlsx")
    assert read_sheet(tmp_path / "x.xlsx", ["id", "ok"]) == [(2, {"id": "1", "ok": 0.5})]


def test_formula_without_a_saved_value_is_its_own_text_and_not_empty(tmp_path, workbook):
    workbook.active.append(["id", "ok"])
    workbook.active.append(["1", "=1+0"])
    workbook.save(tmp_path / "x.xlsx")
    [(_, row)] = read_sheet(tmp_path / "x.xlsx", ["id", "ok"])
    assert row == {"id": "1", "ok": "=1+0"}
    assert isinstance(row["ok"], UncomputedFormula)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"id,other\n1,2\n", r"x\.csv, row 1: there is no column 'ok'; expected the header of the blank sheet\."),
        ("x.csv", b"id,ok,note,ok\n1,1,,0\n", r"x\.csv, row 1: the column 'ok' stands twice; expected each column once\."),
        ("x.csv", b"", r"x\.csv, row 1: there is no column 'id', 'ok';"),
        ("x.xlsx", b"no zip", r"x\.xlsx: not a valid XLSX file"),
        ("x.ods", b"", r"x\.ods: expected a file that ends in \.csv or \.xlsx\."),
    ],
)
def test_file_that_is_no_such_table_is_named(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_sheet(tmp_path / name, ["id", "ok"])


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1", 1),
        (" 0,5 ", 0.5),
        ("0.5", 0.5),
        (2, 2),
        (0.25, 0.25),
        ("-1", -1),
        ("yes", None),
        ("", None),
        (None, None),
        (True, None),
    ],
)
def test_numbers_are_read_with_point_or_comma(cell, number):
    assert to_number(cell) == number
