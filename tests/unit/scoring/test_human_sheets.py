import csv
import zipfile

import pytest
from pydantic import ValidationError

from loragrid.errors import UserError
from loragrid.layout import Evaluation
from loragrid.scoring.human_sheets import (
    HumanEvaluation,
    choose,
    row_id,
    share_out,
    sheet_rows,
    write_sheet_csv,
    write_sheet_workbook,
)
from unit.scoring.answers import item

RUN = "task__gold__mix__n4__lora__completion__seed0"
KNOWN = [
    Evaluation("small", "task", "gold", "base"),
    Evaluation("small", "task", "gold", "base", "few_shot"),
    Evaluation("large", "task", "gold", "base"),
    Evaluation("small", "task", "gold", RUN),
    Evaluation("small", "other", "auto", RUN),
    Evaluation("external", "task", "gold", "published"),
]


def evaluation(**settings):
    criteria = {"factual": {"question": "Is it true?"}, "style": {"question": "Is it well put?", "values": [1, 1.5, 2]}}
    return HumanEvaluation(**{"tasks": ["task"], "annotators": ["anna", "ben"], "criteria": criteria} | settings)


def answers(texts, **fields):
    """The answers of one model to the examples whose ids are given."""
    return [
        item(text, f"reference {id_}", instruction="Do.", input=f"input {id_}", **fields)._replace(id=id_) for id_, text in texts
    ]


@pytest.fixture
def examples(make_example):
    return [make_example(f"{i:02}") for i in range(12)]


def test_all_predictions_of_the_tasks_are_rated_unless_some_are_chosen():
    def chosen(**settings):
        return [KNOWN.index(one) for one in choose("e", evaluation(**settings), KNOWN)]

    assert chosen() == [0, 1, 2, 3, 5]
    assert chosen(tasks=["task", "other"], sample_types=["auto"]) == [4]
    assert chosen(base_models=["small"]) == [0, 1, 3]
    assert chosen(runs=["base", "published"]) == [0, 2, 5]
    assert chosen(runs=["base~few_shot~default"]) == [1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ["unused"]}, r"human_evaluations\.e\.tasks: there are no predictions of 'unused' .*; known: task, other\."),
        ({"runs": ["base", "bse"]}, rf"\.runs: there are no predictions of 'bse' .*; known: base, .*, {RUN}, published\."),
        (
            {"tasks": ["other"], "base_models": ["large"]},
            r"\.base_models: there are no predictions of 'large' .*; known: small\.",
        ),
    ],
)
def test_choice_that_finds_nothing_names_its_key_and_what_is_known(settings, message):
    with pytest.raises(UserError, match=message):
        choose("e", evaluation(**settings), KNOWN)


def test_some_examples_are_rated_by_everybody_and_the_others_by_one(examples):
    shares = share_out("e", evaluation(examples=8, overlap=2), [examples])
    assert {who: len(ids) for who, ids in shares.items()} == {"anna": 5, "ben": 5}
    assert len(shares["anna"] & shares["ben"]) == 2
    assert len(shares["anna"] | shares["ben"]) == 8


def test_examples_are_dealt_out_equally_over_all_data_sets(make_example):
    data = [[make_example(f"{i}{j}") for j in range(3)] for i in range(4)]
    shares = share_out("e", evaluation(), data)
    assert [len(ids) for ids in shares.values()] == [6, 6]


def test_more_examples_keep_those_that_are_rated_already(examples):
    def rated(number, seed=0):
        return set.union(*share_out("e", evaluation(examples=number, seed=seed), [examples]).values())

    assert rated(4) < rated(7) < rated(20) == {example.id for example in examples}
    assert rated(4, seed=1) == rated(4)


def test_another_seed_shares_out_and_shuffles_in_another_way(examples):
    def rows(seed):
        settings = evaluation(seed=seed)
        found = sheet_rows("e", settings, "anna", ANSWERS, share_out("e", settings, [examples])["anna"])
        return [row.question for row in found]

    assert rows(0) == rows(0)
    assert sorted(rows(0)) != sorted(rows(1))
    assert rows(0) != sorted(rows(0))


ANSWERS = answers([(f"{i:02}", f"answer {i}") for i in range(12)])


def test_annotators_meet_the_same_answers_in_different_orders():
    rows = {who: sheet_rows("e", evaluation(), who, ANSWERS, {f"{i:02}" for i in range(12)}) for who in ("anna", "ben")}
    assert sorted(rows["anna"]) == sorted(rows["ben"])
    assert rows["anna"] != rows["ben"]


def test_same_answer_of_several_models_to_an_example_is_rated_once():
    items = answers([("1", "yes"), ("2", "yes")], place="a") + answers([("1", "yes"), ("2", "no")], place="b")
    rows = sheet_rows("e", evaluation(), "anna", items, {"1", "2"})
    assert sorted((row.question, row.answer) for row in rows) == [
        ("Do.\n\ninput 1", "yes"),
        ("Do.\n\ninput 2", "no"),
        ("Do.\n\ninput 2", "yes"),
    ]


def test_id_is_another_for_each_answer_prompt_and_seed_and_no_number():
    one = item("yes", place="a")
    others = [one._replace(prediction="no"), one._replace(id="2"), one._replace(part=1)]
    ids = [row_id("e", 0, one), *(row_id("e", 0, other) for other in others), row_id("e", 1, one), row_id("f", 0, one)]
    assert len(set(ids)) == len(ids)
    assert row_id("e", 0, one._replace(place="b", sample=1)) == ids[0]
    assert all("_" in id_ for id_ in ids)


@pytest.fixture
def sheets(tmp_path):
    """Both forms of a sheet with answers as models give them."""
    texts = [("1", "=1+1"), ("2", "x" * 40_000), ("3", "bell\x07\nü"), ("4", "")]
    rows = sheet_rows("e", evaluation(), "anna", answers(texts, place="t/s/m/secret"), {"1", "2", "3", "4"})
    write_sheet_csv(tmp_path / "anna.csv", evaluation(), rows)
    write_sheet_workbook(tmp_path / "anna.xlsx", evaluation(), rows)
    return tmp_path


def read_csv(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_sheet_has_a_blank_cell_for_each_criterion_and_a_comment(sheets):
    rows = read_csv(sheets / "anna.csv")
    assert list(rows[0]) == ["id", "question", "answer", "factual", "style", "comment"]
    assert {(row["factual"], row["style"], row["comment"]) for row in rows} == {("", "", "")}
    found = {row["question"]: row["answer"] for row in rows}
    assert found["Do.\n\ninput 1"] == "'=1+1"
    assert found["Do.\n\ninput 2"].endswith("x […]")
    assert found["Do.\n\ninput 3"] == "bell�\nü"


def test_reference_is_shown_only_if_asked_for(tmp_path):
    rows = sheet_rows("e", evaluation(), "anna", answers([("1", "yes")]), {"1"})
    write_sheet_csv(tmp_path / "x.csv", evaluation(show_reference=True), rows)
    assert read_csv(tmp_path / "x.csv")[0]["reference"] == "reference 1"


def test_workbook_holds_the_same_texts_and_no_formula(sheets):
    from openpyxl import load_workbook

    sheet = load_workbook(sheets / "anna.xlsx")["answers"]
    header, *rows = sheet.iter_rows(values_only=True)
    in_csv = [[row[name].removeprefix("'") or None for name in header] for row in read_csv(sheets / "anna.csv")]
    assert [list(row) for row in rows] == in_csv
    assert {cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None} == {"s"}


def test_ratings_are_chosen_from_the_values_of_the_criterion(sheets):
    from openpyxl import load_workbook

    workbook = load_workbook(sheets / "anna.xlsx")
    sheet = workbook["answers"]
    found = {}
    for choice in sheet.data_validations.dataValidation:
        assert (choice.type, choice.showErrorMessage) == ("list", True)
        name, cells = choice.formula1.split("!")
        values = [cell.value for cell in workbook[name][cells][0]]
        found[sheet[str(choice.sqref).split(":")[0]].offset(row=-1).value] = (str(choice.sqref), values, choice.prompt)
    assert found == {"factual": ("D2:D5", [0, 1], "Is it true?"), "style": ("E2:E5", [1, 1.5, 2], "Is it well put?")}
    assert sheet.freeze_panes == "A2"
    instructions = {cell.value for row in workbook["instructions"] for cell in row}
    assert {"Is it true?", "Is it well put?"} < instructions


def test_question_may_be_longer_than_a_spreadsheet_shows_beside_a_cell(tmp_path):
    from openpyxl import load_workbook

    settings = evaluation(criteria={"c" * 40: {"question": "Why? " * 100}})
    write_sheet_workbook(tmp_path / "x.xlsx", settings, [])
    [choice] = load_workbook(tmp_path / "x.xlsx")["answers"].data_validations.dataValidation
    assert (len(choice.promptTitle), len(choice.prompt)) == (32, 255)


def test_nobody_sees_whose_answers_they_are(sheets):
    with zipfile.ZipFile(sheets / "anna.xlsx") as archive:
        content = b"".join(map(archive.read, archive.namelist())) + (sheets / "anna.csv").read_bytes()
    assert b"secret" not in content


def test_same_sheet_has_the_same_bytes(sheets, tmp_path):
    first = (sheets / "anna.xlsx").read_bytes()
    texts = [("4", ""), ("3", "bell\x07\nü"), ("2", "x" * 40_000), ("1", "=1+1")]
    rows = sheet_rows("e", evaluation(), "anna", answers(texts, place="t/s/m/other"), {"1", "2", "3", "4"})
    write_sheet_workbook(tmp_path / "again.xlsx", evaluation(), rows)
    assert (tmp_path / "again.xlsx").read_bytes() == first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"criteria": {"answer": {"question": "?"}}}, "a criterion cannot be called 'answer'"),
        ({"annotators": ["anna", "anna"]}, "an annotator is listed twice"),
        ({"examples": 2, "overlap": 3}, "overlap is larger than examples"),
    ],
)
def test_settings_that_make_no_sheet_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        evaluation(**settings)
