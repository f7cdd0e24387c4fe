"""Spreadsheets as sources: the first sheet that is not empty, with values as they were saved."""

import gzip

import openpyxl
import pytest

from loragrid.data.rows import read_rows
from loragrid.errors import UserError


@pytest.fixture
def save(tmp_path):
    def save(*sheets: list[list]):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for i, rows in enumerate(sheets):
            sheet = book.create_sheet(f"sheet {i}")
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / "rows.xlsx")
        return tmp_path / "rows.xlsx"

    return save


def test_rows_of_the_first_sheet_with_cells_are_read_with_their_numbers(save):
    path = save([[None], [None]], [["a", " b "], ["x", 1], [None, None], ["y", None]], [["c"], [1]])
    assert list(read_rows(path)) == [
        (f"{path}, row 2", {"a": "x", "b": 1}),
        (f"{path}, row 4", {"a": "y", "b": None}),
    ]
    path.with_suffix(".xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert len(list(read_rows(path.with_suffix(".xlsx.gz")))) == 2


def test_columns_without_a_name_are_left_out(save):
    assert [row for _, row in read_rows(save([["a", None, "b"], [1, 2, 3]]))] == [{"a": 1, "b": 3}]


def test_sheet_without_rows_gives_none(save):
    assert list(read_rows(save([["a", "b"]]))) == []
    assert list(read_rows(save([[None]]))) == []


def test_column_that_stands_twice_is_an_error(save):
    path = save([[None], ["a", "b", "a"], [1, 2, 3]])
    with pytest.raises(UserError, match=r"rows\.xlsx, row 2: the column .a. stands twice; expected each column once\."):
        list(read_rows(path))


def test_file_that_is_none_is_named(tmp_path):
    (tmp_path / "rows.xlsx").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"rows\.xlsx: not a valid XLSX file"):
        list(read_rows(tmp_path / "rows.xlsx"))
