import csv
import re
from pathlib import Path

import pytest

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.scoring.human_sheets import HumanEvaluation, row_id, sheet_rows, write_sheet_csv, write_sheet_workbook
from loragrid.scoring.protocol import Item, Scored, score_rows
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorers.human import human
from loragrid.scoring.scorers.ratings import ratings
from loragrid.scoring.settings import ScoreSettings
from loragrid.text.words import normalise_space
from unit.scoring.answers import item

GENERICS = Path(__file__).parents[5] / "shared" / "data" / "generics"
needs_generics = pytest.mark.skipif(not GENERICS.is_dir(), reason="needs the generics files under ../shared/data/generics")

CRITERIA = {"factual": [0, 1], "style": [1, 1.5, 2]}
ITEMS = [item(text)._replace(id=id_) for id_, text in (("1", "yes"), ("2", "no"), ("3", "perhaps"))]


def ids(items=ITEMS, seed=0):
    return [row_id("e", seed, one) for one in items]


@pytest.fixture
def filled(tmp_path):
    """Writes a filled sheet: rows of id, factual, style and comment."""

    def write(name, *rows, separator=",", encoding="utf-8"):
        path = tmp_path / name
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.writer(file, delimiter=separator)
            writer.writerows([["id", "question", "answer", *CRITERIA, "comment"]])
            writer.writerows([id_, "q\nq", "a; a, a", *values] for id_, *values in rows)
        return str(path)

    return write


def outcomes(*sheets, items=ITEMS):
    return human("e", 0, CRITERIA, sheets)(items)


def test_score_is_the_mean_over_the_annotators_of_an_answer(filled):
    one, two, _ = ids()
    anna = filled("anna.csv", (one, 1, 2, "good"), (two, 0, 1, ""))
    ben = filled("ben.csv", (one, 0, 1, "bad"))
    first, second, third = outcomes(anna, ben)
    assert first.metrics == {"factual": 0.5, "style": 1.5}
    assert first.detail == "anna: good\nben: bad"
    assert first.parts == {f"factual/anna/{one}": 1, f"style/anna/{one}": 2, f"factual/ben/{one}": 0, f"style/ben/{one}": 1}
    assert second == Scored(
        {"factual": 0, "style": 1}, parts={f"factual/anna/{two}": 0, f"style/anna/{two}": 1}, left_out={"mean"}
    )
    assert third is None


def test_criteria_on_one_scale_have_a_mean_and_others_have_none(filled):
    sheet = filled("anna.csv", (ids()[0], 0, 1, ""))
    for style, expected in (([0, 1], 0.5), ([0, 0.5, 1], 0.5), ([1, 2], None), ([0, 1, 2], None)):
        [first, *_] = human("e", 0, {"factual": [0, 1], "style": style}, [sheet])(ITEMS)
        assert first.metrics.get("mean") == expected
        told = parse_config(
            configured() | {"human_evaluations": evaluation(good={"question": "?"}, style={"question": "?", "values": style})}
        )
        assert ("mean" in told.metrics_of("people")) == (expected is not None)


def test_criterion_that_nobody_rated_has_no_row_and_no_failure(filled):
    one, two, three = ids()
    found = outcomes(filled("anna.csv", (one, "", "1.5", ""), (two, "", "", "no idea"), (three, 1, 1, "")))
    rows = list(score_rows("people", ("factual", "style", "mean"), [[one] for one in ITEMS], found))
    assert [(row.id, row.metric, row.value) for row in rows] == [
        ("1", "style", 1.5),
        ("3", "factual", 1),
        ("3", "style", 1),
    ]
    assert {row.status for row in rows} == {"ok"}


def test_same_answer_of_another_model_has_the_same_rating(filled):
    sheet = filled("anna.csv", (ids()[0], 1, 2, ""))
    [found] = outcomes(sheet, items=[ITEMS[0]._replace(place="other", sample=1)])
    assert found.metrics["factual"] == 1


def test_rows_about_answers_of_other_models_are_passed_over(filled):
    other = item("other")._replace(id="9")
    assert outcomes(filled("anna.csv", *((id_, 1, 1, "") for id_ in ids([other])))) == [None] * 3


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_csv_may_be_as_a_spreadsheet_saves_it(separator, encoding, filled):
    sheet = filled("anna.csv", (ids()[0], "1", "1,5", "schön"), separator=separator, encoding=encoding)
    first, *_ = outcomes(sheet)
    assert (first.metrics["style"], first.detail) == (1.5, "anna: schön")


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_sheet_that_was_written_blank_can_be_filled_and_read(ending, tmp_path):
    from openpyxl import load_workbook

    settings = HumanEvaluation(
        tasks=["t"],
        annotators=["anna"],
        criteria={name: {"question": "?", "values": values} for name, values in CRITERIA.items()},
    )
    rows = sheet_rows("e", settings, "anna", ITEMS, {"1", "2", "3"})
    path = tmp_path / f"anna.{ending}"
    if ending == "csv":
        write_sheet_csv(path, settings, rows)
        path.write_text(path.read_text(encoding="utf-8-sig").replace('"","",""\n', '"1","2","fine"\n'), encoding="utf-8")
    else:
        write_sheet_workbook(path, settings, rows)
        workbook = load_workbook(path)
        for row in list(workbook["answers"].iter_rows())[1:]:
            for cell, value in zip(row[-3:], (1, "2", "fine"), strict=True):
                cell.value = value
        workbook.save(path)
    found = outcomes(str(path))
    assert [(one.metrics, one.detail) for one in found] == [({"factual": 1, "style": 2}, "anna: fine")] * 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("ok", 1, 1, ""), ("ok2", 1, 3, "")],
            r"anna\.csv, row 3, column 'style': '3' cannot be chosen; expected one of 1, 1\.5, 2\.",
        ),
        ([("ok", "yes", 1, "")], r"anna\.csv, row 2, column 'factual': 'yes' cannot be chosen; expected one of 0, 1\."),
        ([("ok", "nan", 1, "")], "'nan' cannot be chosen"),
        ([("", 1, 1, "")], r"anna\.csv, row 2, column 'id': the id is missing"),
        ([("foreign", 1, 1, "")], r"anna\.csv, row 2, column 'id': '\w+' is no row of this human evaluation with this seed"),
        ([("12", "", "", "")], "row 2, column 'id': '12' is no row of this human evaluation"),
        ([("ok", 1, 1, ""), ("ok", 0, 1, "")], r"anna\.csv, row 3, column 'id': '\w+' is rated in a row above already\."),
    ],
)
def test_cell_that_cannot_be_used_is_named(rows, message, filled):
    names = {"ok": ids()[0], "ok2": ids()[1], "foreign": ids(seed=1)[0]}
    with pytest.raises(UserError, match=message):
        outcomes(filled("anna.csv", *((names.get(id_, id_), *values) for id_, *values in rows)))


def test_formula_without_a_saved_value_is_no_missing_rating(tmp_path):
    from openpyxl import Workbook

    workbook = Workbook()
    workbook.active.append(["id", *CRITERIA, "comment"])
    workbook.active.append([ids()[0], 1, "=1+0", ""])
    workbook.save(tmp_path / "anna.xlsx")
    with pytest.raises(UserError) as caught:
        outcomes(str(tmp_path / "anna.xlsx"))
    assert str(caught.value).startswith(
        f"{tmp_path}/anna.xlsx, row 2, column 'style': the formula '=1+0' has no saved value; open"
    )


def test_rows_that_an_annotator_left_blank_or_added_are_no_problem(filled):
    assert outcomes(filled("anna.csv", (ids()[0], "", " ", "later"), ("", "", "", "my notes"))) == [None] * 3


def test_two_sheets_of_one_annotator_are_refused(filled):
    sheet = filled("anna.csv")
    with pytest.raises(UserError, match=r"anna\.csv: there is another sheet of 'anna'"):
        outcomes(sheet, sheet)


def configured(**scorer):
    return {
        "mixes": {"all": {"recipe": "target_only"}},
        "configs": {"lora": {"rank": 4}},
        "models": {"m": {"source": {"path": "x"}}},
        "sources": {"s": {"splits": {"train": {"path": "a.jsonl"}, "test": {"path": "a.jsonl"}}}},
        "tasks": {"t": {"source": "s", "instruction": "i", "sample_types": {"g": {"output": "o"}}, "scorers": ["people"]}},
        "scorers": {"people": {"type": "human", "evaluation": "e", "sheets": ["sheets/anna.csv"]} | scorer},
        "human_evaluations": {"e": {"tasks": ["t"], "annotators": ["anna"], "criteria": {"good": {"question": "?"}}, "seed": 3}},
        "grid": [{"base_models": ["m"], "tasks": ["t"], "sample_types": ["g"]}],
    }


def evaluation(**criteria):
    return {"e": {"tasks": ["t"], "annotators": ["anna"], "criteria": criteria, "seed": 3}}


def test_only_what_decides_on_the_ratings_is_told_of_the_evaluation():
    config = parse_config(configured())
    told = ScoreSettings.of(config.scorers["people"], config.human_evaluations, version=1)
    assert told.scorer["human_evaluation"] == {"seed": 3, "criteria": {"good": [0, 1]}}
    assert told.metrics == config.metrics_of("people") == ("good", "mean")
    assert ScoreSettings.model_validate(told.model_dump()) == told
    # A default that is spelled out is the same setting: nothing is rated again.
    assert [type(value) for value in config.human_evaluations["e"].criteria["good"].values] == [float, float]


@pytest.mark.parametrize("path", ["results/human_sheets/e/anna.csv", "./results/x.xlsx"])
def test_blank_sheets_of_the_workflow_are_not_read_as_filled_ones(path):
    with pytest.raises(UserError, match=r"scorers\.people\.sheets\[0\]: '.*' is in results/"):
        parse_config(configured(sheets=[path]))


def test_sheet_that_is_named_after_no_annotator_is_refused():
    with pytest.raises(UserError, match=r"scorers\.people\.sheets\[0\]: unknown annotator 'anna \(1\)'; did you mean 'anna'"):
        parse_config(configured(sheets=["sheets/anna (1).csv"]))


# Ratings in a plain file.


def question(text, answer, **fields):
    return Item(id=text, prediction=answer, references=("r",), input=text, **fields)


@pytest.fixture
def rated(tmp_path):
    def score(text, *items, criteria=("a", "b")):
        path = tmp_path / "ratings.csv"
        path.write_text(text, encoding="utf-8")
        return [None if one is None else dict(one.metrics) for one in ratings(str(path), criteria)(items)]

    return score


BIRDS = question("Do birds, in general, fly?", " Yes,  most birds,\nbut not all.  Penguins walk.")


@pytest.mark.parametrize(
    "text",
    [
        "7,Do birds, in general, fly?,Yes, most birds, but not all.,1,0,\n",
        "7,Do birds, in general, fly?, Yes, most birds, but not all. Penguins walk.,1,0\r\n",
        '7,"Do birds, in general, fly?","Yes, most birds,\nbut not all.",1,0\n',
        "\ufeff\n7,Do birds, in general, fly?,Yes, most birds, but not all.,1,0,,,\n\n",
    ],
)
def test_rating_finds_its_answer_whatever_commas_are_in_it(text, rated):
    assert rated(text, BIRDS) == [{"a": 1, "b": 0, "mean": 0.5}]


@pytest.mark.parametrize(
    "answer", ["Yes, most birds.", "Yes", "yes, most birds, but not all.", "Yes, most birds, but not all. Penguins"]
)
def test_rating_of_another_text_is_not_given(answer, rated):
    assert rated(f"7,Do birds, in general, fly?,{answer},1,1\n", BIRDS) == [None]


def test_rating_finds_a_text_that_looks_alike(rated):
    assert rated("1,Is it a caf\u00e9?,yes,1,0\n", question("Is it a cafe\u0301?", "ye\u200bs")) == [
        {"a": 1, "b": 0, "mean": 0.5}
    ]


def test_rating_of_the_same_text_about_another_question_is_not_given(rated):
    assert rated("7,Do bees, in general, fly?,Yes, most birds, but not all.,1,1\n", BIRDS) == [None]


def test_several_ratings_of_an_answer_are_averaged(rated):
    assert rated("1,q,x.,1,0,\n2,q,x.,0,0,\n3,q,y.,1,1,\n", question("q", "x.")) == [{"a": 0.5, "b": 0, "mean": 0.25}]


def test_rating_that_is_missing_leaves_its_criterion_out(rated):
    assert rated("1,q,x, x.,1,,\n2,p,y, y.,1,1,\n", question("q", "x, x."), question("p", "y, y.")) == [
        {"a": 1},
        {"a": 1, "b": 1, "mean": 1},
    ]


def test_without_an_input_the_instruction_is_the_question(rated):
    one = Item(id="1", prediction="yes", references=("r",), instruction="Is it true?")
    assert rated("1,Is it true?,yes,1,1\n", one) == [{"a": 1, "b": 1, "mean": 1}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,q,x,1,1\n2,q,good\n", r"ratings\.csv, line 2: expected index, query, answer and 2 ratings, found 3 fields\."),
        ("index,query,answer,a,b\n1,q,x,1,1\n", r"ratings\.csv, line 1: the rating 'a' is no number\."),
        ("1,q,x,1,inf\n", "line 1: the rating 'inf' is no number"),
        ("1,q,x, y,1,1\n", r"ratings\.csv, line 1: where its query ends is not clear; put query and answer in quotes\."),
    ],
)
def test_row_that_cannot_be_read_is_named(text, message, rated):
    with pytest.raises(UserError, match=message):
        rated(text, question("q", "x, y"), question("q,x", "y"))


def published(name):
    """The questions and answers of a file of published outputs; what stands on several lines is joined."""
    text = (GENERICS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^<QUERY>(.*?)^<MODEL OUTPUT>(.*?)^<EXPECTED OUTPUT>", text, re.MULTILINE | re.DOTALL)
    return [question(*("".join(part.split("\n")).strip() for part in block)) for block in blocks]


@needs_generics
def test_every_published_rating_finds_the_answer_that_it_is_about():
    items = published("model6_outputs.txt")
    found = ratings(str(GENERICS / "model6_human_evaluation.csv"), ["factual", "justifies"])(items)
    assert len(items) == len(found) == 844
    assert sum(one.metrics["factual"] for one in found) == 744
    assert sum(one.metrics["justifies"] for one in found) == 808
    assert sum(one.metrics["mean"] for one in found) / 844 == pytest.approx(0.919431, abs=5e-7)

    def means(*beginnings):
        chosen = [one.metrics for asked, one in zip(items, found, strict=True) if asked.input.startswith(beginnings)]
        return [sum(metrics[name] for metrics in chosen) / len(chosen) for name in ("factual", "justifies")]

    assert means("All ", "Not all ") == pytest.approx([0.823194, 0.958175], abs=5e-7)
    assert means("Some ", "No ") == pytest.approx([0.977987, 0.955975], abs=5e-7)


@needs_generics
def test_published_ratings_are_not_given_to_another_models_answers():
    rated_answers = {one.input: one.prediction for one in published("model6_outputs.txt")}
    others = published("model3_outputs.txt")
    found = ratings(str(GENERICS / "model6_human_evaluation.csv"), ["factual", "justifies"])(others)
    shown = {
        one.input: (one.prediction, rated_answers.get(one.input)) for one, rating in zip(others, found, strict=True) if rating
    }
    # One answer is the same as far as it was shown to the raters.
    assert list(shown) == ["Not all ocelots have stripes."]
    [(theirs, ours)] = shown.values()
    assert normalise_space(theirs.partition(".")[0]) == normalise_space(ours.partition(".")[0])


@needs_generics
def test_ratings_of_named_runs_are_given_to_no_other():
    file, criteria = str(GENERICS / "model6_human_evaluation.csv"), ["factual", "justifies"]
    items = [one._replace(place="t/s/external/model6") for one in published("model6_outputs.txt")]
    assert None not in ratings(file, criteria, ["model6"])(items)
    assert set(ratings(file, criteria, ["model6"])([one._replace(place="t/s/external/model3") for one in items])) == {None}


@pytest.mark.parametrize(
    ("rows", "metrics"),
    [
        (["1,q,yes.,1,0", "2,q,no.,0,1"], {"a": 1, "b": 0, "mean": 0.5}),
        (["1,q,yes.,1,4", "2,q,no.,0,5"], {"a": 1, "b": 4}),
        (["1,q,yes.,3,5", "2,q,no.,4,1"], {"a": 3, "b": 5, "mean": 4}),
        (["1,q,yes.,3,60", "2,q,no.,4,80"], {"a": 3, "b": 60}),
        # Nobody gave more than 0, which may be the worse of two.
        (["1,q,yes.,0,1", "2,q,no.,0,1"], {"a": 0, "b": 1, "mean": 0.5}),
        (["1,q,yes.,,1", "2,q,no.,,1"], {"b": 1}),
    ],
)
def test_ratings_of_a_plain_file_have_a_mean_unless_they_lie_on_different_scales(rows, metrics, rated, tmp_path):
    assert rated("\n".join(rows), question("q", "yes.")) == [metrics]
    scorer = parse_scorer({"type": "ratings", "file": str(tmp_path / "ratings.csv"), "criteria": ["a", "b"]})
    assert ("mean" in scorer.metrics_of_example({})) == ("mean" in metrics or "a" not in metrics)


def test_plain_file_in_an_encoding_that_is_a_guess_is_named(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("7,Schön?,Très bien.,1,0\n", encoding="cp1252")
    with pytest.raises(UserError, match=r"ratings\.csv, line 1: not UTF-8 text"):
        ratings(str(path), ["a", "b"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_plain_file_may_be_in_any_encoding_that_spreadsheets_save(encoding, tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("7,Schön?,Très bien.,1,0\n", encoding=encoding)
    [found] = ratings(str(path), ["a", "b"])([question("Schön?", "Très bien.")])
    assert found.metrics["a"] == 1
