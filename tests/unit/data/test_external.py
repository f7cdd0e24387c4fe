import json

import pytest

from loragrid.config.evaluation import ExternalPredictions
from loragrid.data.external import (
    ImportedPredictionsSettings,
    PromptAndReference,
    external_prediction,
    import_predictions,
    match_answers,
    read_answers,
)
from loragrid.data.rows import numbered, read_rows
from loragrid.errors import UserError
from loragrid.records import ACCOUNT, Prediction, read_records, write_records

HINT = "; give them rows, or set missing: empty, which counts them as empty answers."


def answers(*rows, key="{{ id }}"):
    return list(read_answers(numbered("f.csv", rows), key, "{{ prediction }}"))


def matched(rows, test, evaluated=None, match="id", key="{{ id }}"):
    found, ignored, *_ = match_answers("f.csv", answers(*rows, key=key), test, evaluated or test, match)
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (float("nan"), ""), (4, "4"), (4.0, "4"), (True, "true"), (b"a", "a"), ({"text": None}, ""),
        ("    return -a\n", "    return -a"), (" yes ", "yes"),
    ],
    ids=repr,
)  # fmt: skip
def test_answer_is_the_text_that_its_file_means(value, text):
    template = "{{ prediction.text }}" if isinstance(value, dict) else "{{ prediction }}"
    assert [answer.text for answer in read_answers([("w", {"id": 1.0, "prediction": value})], "{{ id }}", template)] == [text]


def test_answer_that_is_a_list_is_named_with_its_place():
    with pytest.raises(UserError, match=r"theirs, row 3: .* found the list \['a'\]; expected text"):
        list(read_answers([("theirs, row 3", {"id": "1", "prediction": ["a"]})], "{{ id }}", "{{ prediction }}"))


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
        f"f.csv: 6 of 8 evaluated test examples have no row: c, d, e, f, g and 1 more{HINT}",
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


BY_PROMPT = {"match": "prompt", "key": "{{ prompt }}"}
BY_BOTH = {"match": "prompt", "key": PromptAndReference(prompt="{{ prompt }}", reference="{{ gold }}")}


@pytest.fixture
def repeated(make_example):
    """Four test examples: two of them, and a third with another reference, ask the same."""
    asked = {"instruction": "Who?", "input": "same  passage"}
    return [
        make_example("a", **asked, output="Ann"),
        make_example("b"),
        make_example("c", **asked | {"input": "same passage"}, output="Ben"),
        make_example("d", **asked, output=["Cid", "Cyd"]),
    ]


def said(*rows):
    return [dict(zip(("prompt", "prediction", "gold"), row, strict=False)) for row in rows]


def test_test_examples_that_ask_the_same_get_their_own_rows_in_order(repeated):
    rows = said(("same passage", "1"), ("Who? same passage", "2"), ("question b", "of b"), ("same passage", "3"))
    assert matched(rows, repeated, **BY_PROMPT) == (["1", "of b", "2", "3"], [])
    found = match_answers("f.csv", answers(*rows, key="{{ prompt }}"), repeated, repeated, "prompt")
    assert found.in_order == 3


def test_reference_in_a_row_tells_apart_what_asks_the_same_in_any_order(repeated):
    rows = said(
        ("same passage", "3", " Cyd"), ("same passage", "2", "Ben"), ("question b", "of b", "answer b"), ("same passage", "1", "Ann")
    )  # fmt: skip
    assert matched(rows, repeated, **BY_BOTH) == (["1", "of b", "2", "3"], [])
    assert match_answers("f.csv", answers(*rows, key=BY_BOTH["key"]), repeated, repeated, "prompt").in_order == 0


def test_row_whose_reference_no_example_has_is_surplus_and_one_without_is_matched_in_order(repeated):
    rows = said(
        ("same passage", "1", None), ("same passage", "2", "Ben"), ("question b", "of b", ""), ("same passage", "3", "Cid")
    )  # fmt: skip
    assert matched(rows, repeated, **BY_BOTH) == (["1", "of b", "2", "3"], [])
    rows[1]["gold"] = "Benny"
    assert problems(rows, repeated, **BY_BOTH) == [
        f"f.csv: 1 of 4 evaluated test examples have no row: c{HINT}",
        "f.csv: rows that belong to no test example by their prompt and reference (1): row 2.",
    ]


def test_rows_of_a_subset_are_those_of_its_examples_or_of_all(repeated):
    evaluated = [repeated[1], repeated[2], repeated[3]]
    rows = said(("same passage", "1"), ("question b", "of b"), ("same passage", "2"), ("same passage", "3"))
    assert matched(rows, repeated, evaluated, **BY_PROMPT) == (["of b", "2", "3"], ["same passage"])
    assert matched(rows[1:], repeated, evaluated, **BY_PROMPT) == (["of b", "2", "3"], [])


def test_too_few_or_too_many_rows_for_what_asks_the_same_are_told(repeated):
    rows = said(("question b", "of b"), *[("same passage", str(i)) for i in range(4)])
    assert problems(rows, repeated, **BY_PROMPT) == [
        "f.csv: rows of an evaluated test example that another row answers already (1): row 5."
    ]
    assert problems(rows[:3], repeated, **BY_PROMPT) == [f"f.csv: 1 of 4 evaluated test examples have no row: d{HINT}"]
    assert problems(rows[:3], repeated, repeated[:2], **BY_PROMPT) == [
        f"f.csv: 1 of 2 evaluated test examples have no row: a{HINT}",
        "f.csv: rows that belong to several test examples by their prompt (2): row 2, row 3.",
    ]


def test_row_that_repeats_prompt_and_answer_is_ignored_and_one_with_another_answer_is_not(repeated):
    rows = said(("question b", "of b"), ("question b", "of b"), *[("same passage", "1")] * 4)
    assert matched(rows, repeated, **BY_PROMPT) == (["1", "of b", "1", "1"], ["question b", "same passage"])
    rows[1]["prediction"] = rows[3]["prediction"] = "another"
    assert problems(rows, repeated, **BY_PROMPT) == [
        "f.csv: rows of an evaluated test example that another row answers already (2): row 2, row 6."
    ]


def test_ids_tell_apart_what_asks_the_same(repeated):
    assert matched([row(id_) for id_ in "dcba"], repeated) == (["of a", "of b", "of c", "of d"], [])


def test_prompt_in_another_unicode_form_is_the_same_prompt(make_example):
    test = [make_example("a", input="caf\u00e9")]
    assert matched(said(("cafe\u0301\u200b", "x")), test, **BY_PROMPT) == (["x"], [])


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


def test_manifest_counts_what_was_matched_by_order_and_names_both_templates(repeated, tmp_path):
    paths = {name: str(tmp_path / name) for name in ("theirs.csv", "test", "predictions", "manifest")}
    rows = [("same passage", "1", "Ann"), ("question b", "2", ""), ("same passage", "3", ""), ("same passage", "4", "")]
    (tmp_path / "theirs.csv").write_text("prompt,prediction,gold\n" + "\n".join(map(",".join, rows)) + "\n")
    write_records(paths["test"], repeated)
    axes = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
    how = {"match": "prompt", "key": BY_BOTH["key"].model_dump(), "prediction": "{{ prediction }}", "subset": None}
    import_predictions(ImportedPredictionsSettings.model_validate({"version": 1, "axes": axes} | how), *paths.values())
    assert [(one.id, one.prediction, one.reference) for one in read_records(paths["predictions"], Prediction)] == [
        ("a", "1", "Ann"), ("b", "2", "answer b"), ("c", "3", "Ben"), ("d", "4", ["Cid", "Cyd"]),
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "manifest").read_text())
    assert manifest["matched_by_order"] == 2
    assert manifest["templates"] == {"prompt": "{{ prompt }}", "reference": "{{ gold }}", "prediction": "{{ prediction }}"}


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


def test_what_becomes_of_gaps_is_told_only_where_it_is_set():
    files = [{"path": "a.csv", "task": "t", "sample_type": "s"}]
    usual, lenient = ExternalPredictions(files=files), ExternalPredictions(files=files, match="prompt", missing="empty")
    assert usual.matching == "id"
    assert lenient.matching.model_dump() == {"by": "prompt", "missing": "empty"}
    told = {"version": 1, "axes": AXES, "key": "k", "prediction": "p", "subset": None}
    assert ImportedPredictionsSettings(match=usual.matching, **told).model_dump()["match"] == "id"
