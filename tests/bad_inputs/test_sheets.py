"""Filled sheets and files of ratings with mistakes, with the sentences that each must produce."""

import csv
import datetime
import io
from types import SimpleNamespace

import pytest

from loragrid.errors import UserError
from loragrid.layout import HUMAN_SHEET
from loragrid.runtime.commands import command
from loragrid.scoring.human_sheets import HumanEvaluation, row_id, sheet_rows, write_sheet_csv
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorers.human import human
from loragrid.scoring.scorers.ratings import read_ratings
from unit.scoring.answers import item

CRITERIA = {"factual": [0, 1], "style": [1, 2, 3, 4, 5]}
ANSWERS = [item(text)._replace(id=str(i)) for i, text in enumerate(("It flies.", "It swims.", "It walks.", "It sleeps."))]
A, B, C, D = (row_id("e", 0, one) for one in ANSWERS)
HEADER = ["id", "question", "answer", "factual", "style", "comment"]
SEAL = A.partition("_")[0]


def filled(path, *rows, header=HEADER):
    """A filled CSV sheet. A row is an id and ratings; the question and the answer are added, unless the row is whole."""
    shown = dict(zip((A, B, C, D), (one.prediction for one in ANSWERS), strict=True))
    text = io.StringIO()
    csv.writer(text).writerows(
        [header, *(row if len(row) > 4 else [row[0], "q", shown.get(row[0], ""), *row[1:], ""] for row in rows)]
    )
    path.write_text(text.getvalue(), encoding="utf-8")
    return str(path)


def sentences(folder, *sheets):
    with pytest.raises(UserError) as caught:
        human("e", 0, CRITERIA, sheets)(ANSWERS)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


VALUES, STYLES = "cannot be chosen; expected one of 0, 1.", "cannot be chosen; expected one of 1, 2, 3, 4, 5."


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(A, 1, 6)], [f"row 2, column 'style': '6' {STYLES}"]),
        ([(A, "yes", 1)], [f"row 2, column 'factual': 'yes' {VALUES}"]),
        ([(A, " Yes ", 1)], [f"row 2, column 'factual': ' Yes ' {VALUES}".replace("' Yes '", "'Yes'")]),
        ([(A, 1, "3-4")], [f"row 2, column 'style': '3-4' {STYLES}"]),
        ([(A, 1, "3.5")], [f"row 2, column 'style': '3.5' {STYLES}"]),
        ([(A, 1, "1_0")], [f"row 2, column 'style': '1_0' {STYLES}"]),
        ([(A, "nan", 1)], [f"row 2, column 'factual': 'nan' {VALUES}"]),
        ([(A, "TRUE", 1)], [f"row 2, column 'factual': 'TRUE' {VALUES}"]),
        ([(A, 1, "x" * 5000)], [f"row 2, column 'style': '{'x' * 60}…' {STYLES}"]),
        ([("", 1, 1)], ["row 2, column 'id': the id is missing; expected that of the blank sheet."]),
        ([(A, 1, 1), (A, 1, 1)], [f"row 3, column 'id': '{A}' is rated in a row above already."]),
        (
            [("abc123_ff", 1, 1)],
            [
                "row 2, column 'id': 'abc123_ff' is no row of this human evaluation with this seed; "
                f"expected the ids of the sheets that '{command('human_sheets')}' writes."
            ],
        ),
        # All of them, once.
        (
            [(A, 2, 6), (B, 1, 1), (C, "", 9), (D, "", "")],
            [
                f"row 2, column 'factual': '2' {VALUES}",
                f"row 2, column 'style': '6' {STYLES}",
                f"row 4, column 'style': '9' {STYLES}",
            ],
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, list) and isinstance(value[0], tuple) else "",
)
def test_every_mistake_in_a_cell_is_named_with_row_and_column(tmp_path, rows, expected):
    found = sentences(tmp_path, filled(tmp_path / "anna.csv", *rows))
    assert found == [f"anna.csv, {sentence}" for sentence in expected]


def test_mistakes_in_several_sheets_are_named_together(tmp_path):
    anna, ben = filled(tmp_path / "anna.csv", (A, 1, 6)), filled(tmp_path / "ben.csv", (A, 7, 1), (B, 1, 8))
    assert [line.partition(":")[0] for line in sentences(tmp_path, anna, ben)] == [
        "anna.csv, row 2, column 'style'",
        "ben.csv, row 2, column 'factual'",
        "ben.csv, row 3, column 'style'",
    ]


def test_of_very_many_mistakes_the_first_are_named(tmp_path):
    found = sentences(tmp_path, filled(tmp_path / "anna.csv", *((f"{SEAL}_{i}", 9, 9) for i in range(100))))
    assert (len(found), found[-1]) == (21, "anna.csv: 180 more mistakes.")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            [f'{A},q,"It flies.,1,1,', f"{B},q,It swims.,1,1,", f"{C},q,It walks.,1,1,"],
            "row 2 (line 2): a quote is opened and not closed where its cell ends",
        ),
        (
            [f'"{A}","q\nq","It flies.","1","1",""', f'"{B}","q","It swims.,"1","1",""', f'"{C}","q","It walks.","1","1",""'],
            "row 3 (line 4): a quote is opened and not closed where its cell ends",
        ),
        ([f'{A},q,It flies.,1,1,"fine" I think'], "row 2 (line 2): a quote is opened and not closed where its cell ends"),
        ([f'{A},q,It flies.,1,1,"'], "row 2 (line 2): a quote is opened and not closed where its cell ends"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_quote_that_is_never_closed_swallows_no_rows(tmp_path, lines, expected, separator):
    text = "\n".join([",".join(HEADER), *lines]) + "\n"
    (tmp_path / "anna.csv").write_text(text.replace(",", separator))
    [found] = sentences(tmp_path, str(tmp_path / "anna.csv"))
    assert found == f"anna.csv, {expected}; expected cells in quotes to end with one, and quotes in them doubled."


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (["id", "question", "answer", "factual", "comment", "x"], "there is no column 'style'; expected the header of the blank"),
        (
            ["ID", "question", "answer", "factual", "style", "comment"],
            "there is no column 'id'; expected the header of the blank",
        ),
        (["id", "question", "answer", "factual", "factual", "style"], "the column 'factual' stands twice; expected each column"),
    ],
)
def test_column_that_is_missing_or_stands_twice_is_named(tmp_path, header, said):
    [found] = sentences(tmp_path, filled(tmp_path / "anna.csv", [A, "q", "It flies.", 1, 1, ""], header=header))
    assert found.startswith(f"anna.csv, row 1: {said}")


def test_date_that_a_spreadsheet_made_of_a_rating_is_named(tmp_path):
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.active.append(HEADER)
    workbook.active.append([A, "q", "It flies.", 1, datetime.datetime(2026, 2, 1), ""])
    workbook.active.append([B, "q", "It swims.", True, "#VALUE!", ""])
    workbook.save(tmp_path / "anna.xlsx")
    assert sentences(tmp_path, str(tmp_path / "anna.xlsx")) == [
        f"anna.xlsx, row 2, column 'style': '2026-02-01 00:00:00' {STYLES} A spreadsheet made a date of what was typed.",
        f"anna.xlsx, row 3, column 'factual': 'True' {VALUES}",
        f"anna.xlsx, row 3, column 'style': '#VALUE!' {STYLES}",
    ]


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut", b"", b"id,factual,style"])
def test_file_that_is_no_workbook_is_named(tmp_path, content):
    (tmp_path / "anna.xlsx").write_bytes(content)
    [found] = sentences(tmp_path, str(tmp_path / "anna.xlsx"))
    assert found.startswith("anna.xlsx: not a valid XLSX file (")


def test_column_that_was_sorted_without_the_others_is_found(tmp_path):
    rows = [[id_, "q", one.prediction, 1, 1, ""] for id_, one in zip((B, A, C, D), ANSWERS, strict=True)]
    [found] = sentences(tmp_path, filled(tmp_path / "anna.csv", *rows))
    assert found == (
        "anna.csv, row 2, column 'id': the row shows another answer than the one with this id (2 rows do); "
        "was a column sorted without the others? Sort whole rows only."
    )


@pytest.mark.parametrize(
    "rows",
    [
        [(D, 1, 1), (A, 1, 1), (C, 1, 1)],
        [[A, "q", "IT FLIES", 1, 1, ""]],
        [[A, "q", "It flies, doesn't it?", 1, 1, "edited"]],
        [[A, "q", "", 1, 1, ""]],
        [(A, "1,0", " 5 ")],
        [(A, "1.0", "5,00")],
        [("", "", ""), (A, 1, 1), ("", "", "")],
    ],
)
def test_sorted_edited_and_oddly_written_rows_are_no_mistakes(tmp_path, rows):
    assert human("e", 0, CRITERIA, [filled(tmp_path / "anna.csv", *rows)])(ANSWERS)[0].metrics["factual"] == 1


EVALUATION = HumanEvaluation(
    tasks=["t"],
    annotators=["anna", "ben"],
    criteria={name: {"question": "?", "values": values} for name, values in CRITERIA.items()},
)
CONFIGURED = SimpleNamespace(human_evaluations={"e": EVALUATION})


def planned(*sheets):
    scorer = parse_scorer({"type": "human", "evaluation": "e", "sheets": sheets})
    return [*scorer.problems(CONFIGURED), *scorer.problems_in_files(CONFIGURED)]


def test_mistakes_in_sheets_that_are_there_are_known_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "anna.csv", (A, 1, 6), (B, 7, 1))
    assert planned("anna.csv", "ben.csv") == [
        f"sheets[0]: anna.csv, row 2, column 'style': '6' {STYLES}",
        f"sheets[0]: anna.csv, row 3, column 'factual': '7' {VALUES}",
    ]
    assert "sheets[1]: 'other/ben.csv' is another sheet of 'ben'; give one for each annotator." in planned(
        "ben.csv", "other/ben.csv"
    )


def write_blank_sheets(experiment=None):
    for who, chosen in (("anna", {"0", "1"}), ("ben", {"2", "3"})):
        blank = HUMAN_SHEET.of_experiment(experiment).path("csv", {"evaluation": "e", "annotator": who})
        write_sheet_csv(blank, EVALUATION, sheet_rows("e", EVALUATION, who, ANSWERS, chosen))


def test_column_that_was_sorted_alone_is_known_before_any_job_with_the_other_mistakes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "anna.csv", [A, "q", "It swims.", 1, 1, ""], [B, "q", "It flies.", 1, 6, ""])
    typo = f"sheets[0]: anna.csv, row 3, column 'style': '6' {STYLES}"
    assert planned("anna.csv") == [typo]
    write_blank_sheets("mine")
    assert planned("anna.csv") == [
        typo,
        "sheets[0]: anna.csv, row 2, column 'id': the row shows another answer than the one with this id (2 rows do); "
        "was a column sorted without the others? Sort whole rows only.",
    ]


@pytest.mark.parametrize("experiment", [None, "mine"])
def test_sheet_with_the_name_of_another_annotator_is_found_and_rows_are_counted(tmp_path, monkeypatch, caplog, experiment):
    monkeypatch.chdir(tmp_path)
    write_blank_sheets(experiment)
    filled(tmp_path / "anna.csv", (C, 1, 1), (D, 1, 1))
    assert planned("anna.csv") == [
        "sheets[0]: anna.csv: 2 of 2 rated rows were asked of 'ben' and not of 'anna'; name the file after who filled it."
    ]
    # With rows of its own, those of others are answers that were dealt out anew.
    filled(tmp_path / "anna.csv", (A, 1, 1), (C, 1, 1), (f"{SEAL}_gone", 1, 1))
    assert planned("anna.csv") == []
    caplog.set_level("INFO", logger="loragrid")
    human("e", 0, CRITERIA, ["anna.csv"])(ANSWERS)
    assert "anna: 2 of 3 rated rows are about these answers" in caplog.text
    assert "anna: 1 of the 2 rows that the sheet has now are rated" in caplog.text
    assert "anna: 2 rated rows are no longer in the sheet" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,q,a,1,x\n2,q,b,1,0\n3,q,c,no,0\n", ["line 1: the rating 'x' is no number.", "line 3: the rating 'no' is no number."]),
        ("1,q,1\n2,q,b,1,0\n", ["line 1: expected index, query, answer and 2 ratings, found 3 fields."]),
        ("1,q,a,1,1e999\n", ["line 1: the rating '1e999' is no number."]),
        ("1,q,a,1,nan\n", ["line 1: the rating 'nan' is no number."]),
        ("1,q,a,1,1_0\n", ["line 1: the rating '1_0' is no number."]),
        ("1;q;a;1;0\n", ["line 1: expected index, query, answer and 2 ratings, found 1 fields."]),
    ],
)
def test_every_mistake_in_a_plain_file_of_ratings_is_named_with_its_line(tmp_path, text, expected):
    path = tmp_path / "ratings.csv"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_ratings(str(path), 2)
    assert str(caught.value).splitlines() == [f"{path}, {sentence}" for sentence in expected]
    scorer = parse_scorer({"type": "ratings", "file": str(path), "criteria": ["a", "b"]})
    assert list(scorer.problems_in_files(CONFIGURED)) == [f"file: {path}, {sentence}" for sentence in expected]
