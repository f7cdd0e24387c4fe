import csv
import json

import pytest

from loragrid.analysis.exports import export, write_csv
from loragrid.records import ACCOUNT, Prediction, write_records


def predicted(example, prediction):
    axes = {"task": "t", "sample_type": "s", "base_model": "m", "run": "base", "engine": "e", "engine_version": "1"}
    return Prediction(
        id=example.id,
        prompt=prediction,
        prediction=prediction,
        reference=example.output,
        answers=example.answers,
        **axes,
        **dict.fromkeys(ACCOUNT),
    )


@pytest.fixture
def rows(make_example):
    plain, several = make_example("a"), make_example("b", output=["b1", "b2"])
    each = make_example("c", prompts=["one", "two"], answers="each", output=["1", "2"])
    joined = make_example("d", prompts=["one", "two"], answers="joined", output="1\n2")
    given = [predicted(joined, ["p", "q"]), predicted(each, ["x", "y"]), predicted(several, "z"), predicted(plain, 'ü,\n"w"')]
    return list(export(given, [plain, several, each, joined]))


EXPECTED = [
    ("Answer.", "one", "1\n2", "p"),
    ("Answer.", "two", "1\n2", "q"),
    ("Answer.", "one", "1", "x"),
    ("Answer.", "two", "2", "y"),
    ("Answer.", "question b", ["b1", "b2"], "z"),
    ("Answer.", "question a", "answer a", 'ü,\n"w"'),
]
COLUMNS = ("instruction", "input", "output", "prediction")


def test_prediction_stands_beside_its_example_once_for_each_prompt(rows, tmp_path):
    write_records(tmp_path / "x.jsonl", rows)
    written = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert written == [dict(zip(COLUMNS, row, strict=True)) for row in EXPECTED]
    assert list(written[0]) == list(COLUMNS)


def test_csv_has_the_same_columns_and_lists_as_json(rows, tmp_path):
    write_csv(tmp_path / "x.csv", rows)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        header, *written = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [tuple(row) for row in written] == [
        tuple(json.dumps(value) if isinstance(value, list) else value for value in row) for row in EXPECTED
    ]


def test_csv_holds_no_formula(make_example, tmp_path):
    example = make_example("a", output="=1+1")
    write_csv(tmp_path / "x.csv", export([predicted(example, '=HYPERLINK("http://x")')], [example]))
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        _, written = csv.reader(file)
    assert written == ["Answer.", "question a", "'=1+1", '\'=HYPERLINK("http://x")']
