import json

import pytest

from loragrid.data.external import (
    ImportedPredictionsSettings,
    external_prediction,
    import_predictions,
    match_answers,
    read_answers,
)
from loragrid.data.rows import numbered, read_rows
from loragrid.errors import UserError
from loragrid.records import ACCOUNT, Prediction, read_records, write_records


def answers(*rows, key="{{ id }}"):
    return list(read_answers(numbered("f.csv", rows), key, "{{ prediction }}"))


def matched(rows, test, evaluated=None, match="id", key="{{ id }}"):
    found, ignored = match_answers("f.csv", answers(*rows, key=key), test, evaluated or test, match)
    return [one.text for one in found], [one.key for one in ignored]


def row(id_):
    return {"id": id_, "prediction": f"of {id_}"}


def problems(rows, test, evaluated=None, **how):
    with pytest.raises(UserError) as caught:
        matched(rows, test, evaluated, **how)
    return str(caught.value).splitlines()


def test_answers_are_found_by_id_in_the_order_of_the_examples_and_those_outside_the_subset_ignored(make_example):
    test = [make_example(name) for name in "abc"]
    assert matched([row("c"), row("b"), row("a")], test, test[:2]) == (["of a", "of b"], ["c"])


def test_templates_give_id_and_prediction_from_the_fields_of_a_row(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text('n,text\n7,"  Yes,\nit is "\n')
    [answer] = read_answers(read_rows(path), "id-{{ n }}", "{{ text | upper }}!")
    assert (answer.where, answer.key, answer.text) == (f"{path}, line 3", "id-7", "  YES,\nIT IS !")


def test_row_that_a_template_does_not_fit_is_named_with_its_place():
    with pytest.raises(UserError) as caught:
        answers({"id": "a"})
    sentence = "f.csv, row 1: the template '{{ prediction }}' fails: 'prediction' is undefined; the row has: id."
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "prompt",
    ["Answer.\n\nquestion a", "Answer.\nquestion a", " Answer.  question\ta\n", "question a", "question\n\na"],
)
def test_prompt_is_the_input_or_the_whole_question_white_space_aside(make_example, prompt):
    test = [make_example("a"), make_example("b")]
    rows = [{"prompt": prompt, "prediction": "x"}, {"prompt": "question b", "prediction": "y"}]
    assert matched(rows, test, match="prompt", key="{{ prompt }}") == (["x", "y"], [])


def test_prompt_of_an_example_without_input_is_its_instruction(make_example):
    test = [make_example("a", instruction="Sing.", input="")]
    by_prompt = {"match": "prompt", "key": "{{ prompt }}"}
    assert matched([{"prompt": "Sing.", "prediction": "la"}], test, **by_prompt) == (["la"], [])
    found = problems([{"prompt": "Sing.", "prediction": "la"}, {"prompt": "", "prediction": "la"}], test, **by_prompt)
    assert found == ["f.csv: rows that belong to no test example by their prompt (1): row 2."]


def test_prompt_in_another_case_is_another_prompt(make_example):
    found = problems([{"prompt": "Question a", "prediction": "x"}], [make_example("a")], match="prompt", key="{{ prompt }}")
    assert found[1] == "f.csv: rows that belong to no test example by their prompt (1): row 1."


def test_missing_repeated_and_surplus_rows_are_told_at_once_with_count_and_the_first_few(make_example):
    test = [make_example(name) for name in "abcdefghi"]
    rows = [row("a"), row("x"), row("b"), row("a"), row("y"), row("i"), row("i")]
    assert problems(rows, test, test[:-1]) == [
        "f.csv: 6 of 8 evaluated test examples have no row: c, d, e, f, g and 1 more.",
        "f.csv: rows of an evaluated test example that another row answers already (1): row 4.",
        "f.csv: rows that belong to no test example by their id (2): row 2, row 5.",
    ]


def test_input_that_two_test_examples_share_does_not_tell_them_apart_but_the_whole_question_does(make_example):
    test = [make_example("a", input="same", instruction="One."), make_example("b", input="same", instruction="Two.")]
    whole = [{"prompt": "Two. same", "prediction": "2"}, {"prompt": "One. same", "prediction": "1"}]
    by_prompt = {"match": "prompt", "key": "{{ prompt }}"}
    assert matched(whole, test, **by_prompt) == (["1", "2"], [])
    found = problems([*whole, {"prompt": "same", "prediction": "?"}], test, **by_prompt)
    assert found == ["f.csv: rows that belong to several test examples by their prompt (1): row 3."]


def test_record_says_what_is_known_and_null_for_the_rest(make_example):
    axes = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
    [answer] = answers(row("a"))
    record = external_prediction(axes, make_example("a"), answer, "id")
    assert Prediction.model_validate(json.loads(record.model_dump_json())) == record
    assert (record.prompt, record.prediction, record.reference) == ("Answer.\n\nquestion a", "of a", "answer a")
    assert (record.engine, record.engine_version, record.trained_task) == ("external", "", None)
    assert {getattr(record, name) for name in ACCOUNT} == {None}
    assert external_prediction(axes, make_example("a"), answer._replace(key="question  a"), "prompt").prompt == "question  a"


def test_imported_predictions_have_a_manifest_that_tells_how_they_were_matched(make_example, tmp_path):
    paths = {name: str(tmp_path / name) for name in ("theirs.csv", "test", "predictions", "manifest")}
    (tmp_path / "theirs.csv").write_text("id,prediction\na,of a\nb,of b\n")
    write_records(paths["test"], [make_example("a"), make_example("b")])
    axes = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
    how = {"match": "id", "key": "{{ id }}", "prediction": "{{ prediction }}", "subset": 1}
    import_predictions(ImportedPredictionsSettings(version=1, axes=axes, **how), *paths.values())
    [record] = read_records(paths["predictions"], Prediction)
    assert record.prediction == f"of {record.id}"
    manifest = json.loads((tmp_path / "manifest").read_text())
    assert manifest["templates"] == {"id": "{{ id }}", "prediction": "{{ prediction }}"}
    assert (manifest["examples"], manifest["ignored"], manifest["axes"]) == (1, 1, axes)


def test_answer_keeps_its_indentation(make_example):
    [answer] = answers({"id": " a ", "prediction": "\n    c = a + b\n    return c\n"})
    assert (answer.key, answer.text) == ("a", "    c = a + b\n    return c")


AXES = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("<think>or 20?</think>\nThe answer is 18.", "18", ("The answer is 18.", "or 20?", "18")),
        ("or 20?</think>18", "18", ("18", "or 20?", "18")),
        ("<think>or 20?", "18", ("", "or 20?", "18")),
        ("<think>or 20?</think>18", ["<think>3 * 6</think>\n\n18", "eighteen"], ("18", "or 20?", ["18", "eighteen"])),
        # Who asks for thoughts gets them whole.
        ("<think>3 * 6</think>", "<think>3 * 6 = 18</think>", ("<think>3 * 6</think>", None, "<think>3 * 6 = 18</think>")),
    ],
)
def test_answers_and_references_are_compared_without_thoughts(make_example, text, reference, expected):
    [answer] = answers({"id": "a", "prediction": text})
    record = external_prediction(AXES, make_example("a", output=reference), answer, "id")
    assert (record.prediction, record.thoughts, record.reference) == expected
    assert ("thoughts" in record.model_dump()) == (expected[1] is not None)


def test_manifest_counts_thoughts_and_answers_that_they_leave_empty(make_example, tmp_path):
    paths = {name: str(tmp_path / name) for name in ("theirs.csv", "test", "predictions", "manifest")}
    (tmp_path / "theirs.csv").write_text("id,prediction\na,<think>x</think>y\nb,<think>x\nc,y\n")
    write_records(paths["test"], [make_example(name) for name in "abc"])
    how = {"match": "id", "key": "{{ id }}", "prediction": "{{ prediction }}", "subset": None}
    import_predictions(ImportedPredictionsSettings(version=1, axes=AXES, **how), *paths.values())
    assert json.loads((tmp_path / "manifest").read_text())["thoughts"] == {"answers": 2, "empty": 1}
