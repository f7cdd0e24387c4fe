"""Cells that we write are no formulas, and come back as they were. Any table is read, or named."""

import tempfile
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from loragrid.analysis.table_files import read_csv_table, write_table
from loragrid.errors import UserError
from loragrid.runtime.spreadsheets import (
    fitted,
    guarded,
    like_formula,
    read_sheet,
    set_text,
    unguarded,
    write_csv,
    write_workbook,
)

small = settings(max_examples=80, deadline=None, derandomize=True)

SIGNS = st.text(st.sampled_from("=+-@＝﹢'\"\t\r\n \u200b\u202e\ufeff\u00ad\u3164a1"), max_size=6)
CELLS = SIGNS | st.text(st.characters(exclude_categories=("Cs",)), max_size=10)


@small
@given(CELLS)
def test_guarded_text_is_no_formula_and_comes_back(text):
    assert unguarded(guarded(text)) == text
    assert guarded(text) == text or guarded(text)[0] == "'"
    # What a program that skips all that takes no ink would see first.
    seen = guarded(text).strip("\u200b\u202e\ufeff\u00ad\u3164 \t\r\n")
    assert not seen.startswith(("=", "+", "-", "@", "＝", "﹢"))


@small
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_csv_that_we_write_is_read_back_exactly(rows):
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "x.csv", ["id", "text"], rows, encoding="utf-8-sig")
        try:
            found = read_sheet(Path(folder) / "x.csv", ["id", "text"])
        except UserError:
            assert any("\0" in cell for row in rows for cell in row)
            return
    assert [tuple(row.values()) for _, row in found] == rows


@small
@given(st.lists(CELLS.filter(bool), min_size=1, max_size=4))
def test_tables_that_we_write_are_read_back_exactly(texts):
    table = pd.DataFrame({"text": texts, "n": range(len(texts))})
    with tempfile.TemporaryDirectory() as folder:
        write_table(table, Path(folder) / "x.csv")
        assert read_csv_table(Path(folder) / "x.csv", ["text"])["text"].tolist() == texts


@settings(small, max_examples=30)
@given(st.lists(CELLS.filter(bool), min_size=1, max_size=4))
def test_workbook_holds_texts_and_never_formulas(texts):
    workbook = Workbook()
    for i, text in enumerate(texts, start=1):
        set_text(workbook.active.cell(i, 1), text)
    with tempfile.TemporaryDirectory() as folder:
        write_workbook(Path(folder) / "x.xlsx", workbook)
        cells = [row[0] for row in load_workbook(Path(folder) / "x.xlsx").active.iter_rows()]
    assert [(cell.data_type, cell.value) for cell in cells] == [("s", fitted(text)) for text in texts]
    assert [bool(cell.quotePrefix) for cell in cells] == [like_formula(text) for text in texts]


@small
@given(
    st.binary(max_size=200), st.sampled_from(["x.csv", "x.xlsx"]), st.sampled_from([b"", b"id,ok\n", b"\xff\xfe", b"PK\x03\x04"])
)
def test_any_bytes_are_a_table_or_have_a_sentence(data, name, start):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(start + data)
        sentence = str(path)
        try:
            read_sheet(path, ["id", "ok"])
        except UserError as error:
            sentence = str(error)
        assert str(path) in sentence
