"""Files of predictions made elsewhere that do not answer their test set, with the sentence that each must produce."""

import json

import pytest

from loragrid.data.external import ImportedPredictionsSettings, Matching, PromptAndReference, import_predictions
from loragrid.errors import UserError
from loragrid.records import Example, Prediction, read_records, write_records

TEST = [
    Example(id=f"id{i}", task="t", sample_type="s", instruction="Answer.", input=f"question {i}", output=f"answer {i}")
    for i in range(4)
]
AXES = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
WHOLE = "id,prediction\n" + "".join(f"id{i},a {i}\n" for i in range(4))
SETTING = "give them rows, or set external_predictions.theirs.missing: empty, which counts them as empty answers"


def imported(folder, text, name="theirs.csv", test=TEST, subset=None, match="id", key="{{ id }}", prediction="{{ prediction }}"):
    """The predictions, as the job of this name makes them, and their manifest."""
    paths = {kind: str(folder / kind) for kind in (name, "test", "predictions", "manifest")}
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    write_records(paths["test"], test)
    how = {"match": match, "key": key, "prediction": prediction, "subset": subset}
    import_predictions(ImportedPredictionsSettings(version=1, axes=AXES, **how), *paths.values())
    return read_records(paths["predictions"], Prediction), json.loads((folder / "manifest").read_text())


BY_PROMPT = {"match": "prompt", "key": "{{ prompt }}"}
EMPTY = {"match": Matching(by="id", missing="empty")}
ALIKE = [TEST[0], TEST[0].model_copy(update={"id": "twin", "output": "another"}), TEST[1]]


@pytest.mark.parametrize(
    ("text", "how", "sentence"),
    [
        ("id,prediction\nid0,a\n", {}, f"FILE: 3 of 4 evaluated test examples have no row: id1, id2, id3; {SETTING}."),
        ("id,prediction\n", {}, f"FILE: 4 of 4 evaluated test examples have no row: id0, id1, id2, id3; {SETTING}."),
        (
            WHOLE + "id0,other\n",
            {},
            "FILE: rows of an evaluated test example that another row answers already (1): line 6.",
        ),
        (WHOLE + "idx,a\n", {}, "FILE: rows that belong to no test example by their id (1): line 6."),
        (
            "id,prediction\nid0,a\nid1,a\nid1,b\nidx,c\n",
            {},
            f"FILE: 2 of 4 evaluated test examples have no row: id2, id3; {SETTING}.\n"
            "FILE: rows of an evaluated test example that another row answers already (1): line 4.\n"
            "FILE: rows that belong to no test example by their id (1): line 5.",
        ),
        # With gaps allowed, everything else is still an error.
        (WHOLE + "idx,a\n", EMPTY, "FILE: rows that belong to no test example by their id (1): line 6."),
        (WHOLE + "id0,b\n", EMPTY, "FILE: rows of an evaluated test example that another row answers already (1): line 6."),
        ("id,prediction\n", EMPTY, "FILE: none of the 4 evaluated test examples has a row; see how rows are matched."),
        (
            "prompt,prediction\nquestion 0,a\nquestion 1,b\n",
            {"match": Matching(by="prompt", missing="empty"), "key": "{{ prompt }}", "test": ALIKE},
            "FILE: rows that belong to several test examples by their prompt (1): line 2.",
        ),
        (
            "prompt,prediction\nWhat?,a\nquestion 1,b\nquestion 2,c\nquestion 3,d\n",
            BY_PROMPT,
            f"FILE: 1 of 4 evaluated test examples have no row: id0; {SETTING}.\n"
            "FILE: rows that belong to no test example by their prompt (1): line 2.",
        ),
        (
            "prompt,gold,prediction\nquestion 0,wrong,a\nquestion 0,another,b\nquestion 1,answer 1,c\n",
            {"match": "prompt", "key": PromptAndReference(prompt="{{ prompt }}", reference="{{ gold }}"), "test": ALIKE},
            f"FILE: 1 of 3 evaluated test examples have no row: id0; {SETTING}.\n"
            "FILE: rows that belong to no test example by their prompt and reference (1): line 2.",
        ),
        (
            WHOLE,
            {"prediction": "{{ answer }}"},
            "FILE, line 2: the template '{{ answer }}' fails: 'answer' is undefined; the row has: id, prediction.",
        ),
        ("id,prediction\nid0\n", {}, "FILE, line 2: expected 2 fields as in the header, found 1."),
    ],
)
def test_file_that_does_not_answer_its_test_set_is_told_in_sentences(tmp_path, text, how, sentence):
    with pytest.raises(UserError) as caught:
        imported(tmp_path, text, **how)
    assert str(caught.value) == sentence.replace("FILE", f"{tmp_path}/theirs.csv")
    assert not (tmp_path / "predictions").exists()
    assert not (tmp_path / "manifest").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"id": "id0", "prediction": ["a"]}\n', "line 1: the template '{{ prediction }}' fails: "),
        ('{"id": "id0", "prediction": "a"}\n{"id":\n', "line 2: not valid JSON"),
        ("[1, 2]\n", "line 1: expected an object with fields, found list"),
    ],
)
def test_row_that_is_none_is_named_with_its_line(tmp_path, text, sentence):
    with pytest.raises(UserError) as caught:
        imported(tmp_path, text, name="theirs.jsonl")
    assert str(caught.value).startswith(f"{tmp_path}/theirs.jsonl, {sentence}")


def test_examples_without_a_row_are_empty_answers_that_manifest_and_log_count(tmp_path, caplog):
    caplog.set_level("INFO", logger="loragrid")
    records, manifest = imported(tmp_path, "id,prediction\nid1,b\nid3,d\n", **EMPTY)
    assert [(one.id, one.prediction) for one in records] == [("id0", ""), ("id1", "b"), ("id2", ""), ("id3", "d")]
    assert manifest["missing"] == ["id0", "id2"]
    assert (manifest["match"], manifest["examples"], manifest["templates"]["id"]) == ("id", 4, "{{ id }}")
    assert "2 of 4 test examples have no row and count as empty answers: id0, id2" in caplog.text


def test_whole_file_is_imported_alike_whether_gaps_are_allowed_or_not(tmp_path):
    assert imported(tmp_path, WHOLE, **EMPTY) == imported(tmp_path, WHOLE)


def test_gaps_outside_the_subset_are_none(tmp_path):
    records, manifest = imported(tmp_path, WHOLE, subset=2)
    kept = [one.id for one in records]
    records, manifest = imported(tmp_path, "id,prediction\n" + f"{kept[0]},a\n", subset=2, **EMPTY)
    assert manifest["missing"] == kept[1:]
