"""Any filled sheet gives ratings that can be chosen or sentences, and what was written comes back."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loragrid.errors import UserError
from loragrid.runtime.spreadsheets import read_sheet, to_number, write_csv
from loragrid.scoring.filled_sheets import read_filled_sheet
from loragrid.scoring.scorers.ratings import read_ratings

often = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
CRITERIA = {"good": [0, 1], "style": [1, 2.5]}
cells = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["1", "0", "2,5", " 2.5 ", "", "abc_1", "abc_2", "abc_3", '"', "1-2", "=1", "nan", "1_0", "TRUE", "\n", "é"]),
)
rows = st.lists(st.lists(cells, min_size=3, max_size=5), max_size=6)


def result(read, *arguments):
    """What a reader gives, and the sentences with which it refuses."""
    try:
        return read(*arguments), []
    except UserError as error:
        return None, str(error).splitlines()


@often
@given(rows)
def test_any_rows_give_ratings_that_can_be_chosen_or_sentences(tmp_path, rows):
    path = tmp_path / "anna.csv"
    text = io.StringIO()
    csv.writer(text).writerows([["id", *CRITERIA, "answer", "comment"], *rows])
    path.write_text(text.getvalue(), encoding="utf-8", errors="replace", newline="")
    found, told = result(read_filled_sheet, str(path), CRITERIA, "abc")
    assert (found is None) == bool(told)
    assert all(line.startswith(f"{path}, row ") or line.endswith(" more mistakes.") for line in told)
    for id_, row in (found or {}).items():
        assert id_.startswith("abc_")
        assert row.ratings
        assert all(value in CRITERIA[name] for name, value in row.ratings.items())


@often
@given(st.binary(max_size=200), st.sampled_from(["csv", "xlsx", "ods"]))
def test_any_bytes_are_a_sheet_or_a_sentence_that_names_the_file(tmp_path, content, ending):
    path = tmp_path / f"anna.{ending}"
    for begin in (b"", b"id,good,style\n", b"PK\x03\x04", b"\xff\xfe", b"\xef\xbb\xbfid;good;style\n"):
        path.write_bytes(begin + content)
        found, told = result(read_filled_sheet, str(path), CRITERIA, "abc")
        assert isinstance(found, dict) or str(path) in told[0]


@often
@given(st.binary(max_size=200))
def test_any_bytes_are_ratings_or_sentences_that_name_the_file(tmp_path, content):
    path = tmp_path / "ratings.csv"
    path.write_bytes(content)
    found, told = result(read_ratings, str(path), 2)
    assert all(len(row.values) == 2 for row in found or ())
    assert all(str(path) in line for line in told)


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20)


@often
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_texts_that_are_written_come_back_but_for_the_guard_of_formulas(tmp_path, rows):
    path = Path(tmp_path / "sheet.csv")
    write_csv(path, ["id", "text"], rows)
    back = [(row["id"], row["text"]) for _, row in read_sheet(path, ["id", "text"])]
    assert [tuple(cell.removeprefix("'") for cell in row) for row in back] == [
        tuple(cell.removeprefix("'") for cell in row) for row in rows
    ]


@often
@given(st.one_of(st.text(max_size=20), st.floats(), st.integers(), st.booleans(), st.none(), st.dates()))
def test_any_cell_is_a_number_or_none(cell):
    assert isinstance(to_number(cell), float | None)


@pytest.mark.parametrize("value", [0.0, 1.5, -3.25, 1e20, 12345.678])
def test_number_comes_back_with_point_and_comma(value):
    assert to_number(repr(value)) == to_number(repr(value).replace(".", ",")) == to_number(value) == value
