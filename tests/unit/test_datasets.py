import json
import random

import pytest

from loragrid.datasets import clean_splits, map_row, read_split, subset
from loragrid.errors import UserError

FIELDS = {
    "instruction": "Translate.",
    "input": "{{ text | upper }}",
    "output": "{{ answers[0] }}",
    "metadata": {"of": "{{ key }}"},
}


def test_row_is_mapped_by_the_templates():
    example = map_row({"text": "hi", "answers": ["salut"], "key": 7}, FIELDS, "t", "s")
    assert (example.instruction, example.input, example.output, example.metadata) == ("Translate.", "HI", "salut", {"of": "7"})


def test_id_is_a_function_of_the_content():
    row = {"text": "hi", "answers": ["salut"], "key": 7}
    assert map_row(row, FIELDS, "t", "s").id == map_row(row | {"other": 1}, FIELDS, "t", "s").id
    assert map_row(row, FIELDS, "t", "s").id != map_row(row | {"answers": ["bonjour"]}, FIELDS, "t", "s").id
    assert map_row(row, FIELDS, "t", "s").id != map_row(row, FIELDS, "t", "other").id


def test_filter_marked_picks_items_from_lists_and_from_mappings_of_lists():
    fields = {"instruction": "x", "input": "", "output": "{{ text | marked(marks) | join(' ') }}", "metadata": None}
    row = {"text": {"b": ["1", "2"], "a": ["3", "4"]}, "marks": {"a": [1, 0], "b": [0, 1]}}
    assert map_row(row, fields, "t", "s").output == "2 3"
    assert map_row({"text": ["1", "2"], "marks": [0, 1]}, fields, "t", "s").output == "2"


def test_template_naming_a_missing_field_gives_the_field_and_those_that_exist(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "answers": ["b"], "key": 1}\n{"text": "a", "key": 1}\n')
    with pytest.raises(UserError) as caught:
        read_split(path, None, FIELDS, "t", "s")
    message = f"{path}, line 2: the template of 'output' fails: 'answers' is undefined; the row has: text, key."
    assert str(caught.value) == message


def test_template_cannot_reach_the_program():
    fields = FIELDS | {"input": "{{ ''.__class__.__mro__ }}"}
    with pytest.raises(UserError, match="template of 'input' fails"):
        map_row({"text": "hi", "answers": ["a"], "key": 1}, fields, "t", "s")


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        ("[1]\n", None, "line 1: expected a JSON object, found list."),
        ("{\n", None, "line 1: not valid JSON"),
        ("", None, "has no rows."),
        (json.dumps({"text": "", "answers": ["b"], "key": 1}), 2, "has 1 rows, but the configuration says 2."),
    ],
)
def test_unusable_file_is_named_with_the_reason(tmp_path, text, rows, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_split(path, rows, FIELDS, "t", "s")
    assert str(caught.value).startswith(str(path))


def test_question_of_a_later_split_never_stays_in_an_earlier_one(make_example):
    splits = {
        "train": [make_example("1", input="Same  QUESTION"), make_example("2"), make_example("3", input="in validation")],
        "validation": [make_example("4", input="in validation"), make_example("5", input="same question ")],
        "test": [make_example("6", input="same question")],
    }
    kept, dropped = clean_splits(splits)
    assert {split: [e.id for e in examples] for split, examples in kept.items()} == {
        "train": ["2"],
        "validation": ["4"],
        "test": ["6"],
    }
    assert dropped["train"] == {"same question in test": ["1"], "same question in validation": ["3"]}
    assert dropped["validation"] == {"same question in test": ["5"]}


def test_empty_outputs_and_repetitions_are_dropped_and_listed(make_example):
    kept, dropped = clean_splits(
        {"train": [make_example("1"), make_example("1"), make_example("2", output="")], "validation": [], "test": []}
    )
    assert [e.id for e in kept["train"]] == ["1"]
    assert dropped["train"] == {"repeated": ["1"], "empty output": ["2"]}


def test_subset_is_the_same_in_any_order_nested_and_common_to_sample_types(make_example):
    examples = [make_example(str(i)) for i in range(50)]
    shuffled = random.Random(0).sample(examples, 50)
    chosen = {e.id for e in subset(examples, 10)}
    assert len(chosen) == 10
    assert {e.id for e in subset(shuffled, 10)} == chosen
    assert chosen < {e.id for e in subset(examples, 20)}
    other = [make_example(f"other {(7 * i) % 50}", input=f"question {i}", output="another answer") for i in range(50)]
    assert {e.input for e in subset(other, 10)} == {e.input for e in subset(examples, 10)}
    assert subset(examples, None) == examples
    assert [e.id for e in subset(examples, 10)] == [e.id for e in examples if e.id in chosen]
