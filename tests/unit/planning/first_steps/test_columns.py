"""What columns are: guessed by their names, else by what they hold."""

import pytest

from loragrid.errors import UserError
from loragrid.planning.first_steps.columns import guess_columns
from loragrid.planning.first_steps.tables import Table

ROWS = 30


def table(**columns) -> Table:
    """A table whose columns are lists, or functions of the row's number."""
    rows = [{name: made(i) if callable(made) else made[i] for name, made in columns.items()} for i in range(ROWS)]
    return Table("x.csv", list(columns), rows)


def words(i: int) -> str:
    return f"these are the words of row {i}"


def few(i: int) -> str:
    return "ab"[i % 2]


@pytest.mark.parametrize(
    ("columns", "inputs", "output"),
    [
        ({"text": words, "label": few}, ["text"], "label"),
        ({"label": few, "text": words}, ["text"], "label"),
        ({"Review Text": words, "Sentiment": few}, ["Review Text"], "Sentiment"),
        ({"question": words, "context": words, "answer": few}, ["question", "context"], "answer"),
        ({"prompt": words, "completion": words}, ["prompt"], "completion"),
        ({"text": words, "label": few, "label_text": few}, ["text"], "label_text"),
        ({"title": words, "body": words, "source": few, "reply": words}, ["title", "body"], "reply"),
    ],
)
def test_columns_are_told_by_their_names(columns, inputs, output):
    found = guess_columns(table(**columns))
    assert (found.inputs, found.output, found.instruction) == (inputs, output, None)
    assert {found.why[column] for column in (*inputs, output)} == {"by its name"}


def test_columns_without_a_telling_name_are_told_by_what_they_hold():
    found = guess_columns(table(mood=few, said=words, judged=few))
    assert (found.inputs, found.output) == (["said"], "judged")
    assert found.why == {"said": "it has the longest texts", "judged": "the last column that is nothing else"}
    assert found.others == {"mood": "not needed"}


def test_instructions_need_no_input():
    found = guess_columns(table(instruction=words, input=lambda i: "", output=words))
    assert (found.instruction, found.inputs, found.output) == ("instruction", [], "output")
    assert found.others == {"input": "empty"}


def test_ids_are_no_inputs_and_those_that_repeat_group_rows():
    found = guess_columns(table(id=lambda i: i, customer_id=lambda i: i // 2, site_id=lambda i: i % 3, text=words, label=few))
    assert found.group == "customer_id"
    assert found.why["customer_id"] == "an id with 15 values in 30 rows"
    assert found.others == {"id": "an id", "site_id": "an id"}


def test_rows_that_are_counted_are_an_id_under_any_name():
    assert guess_columns(table(lfd=lambda i: str(i + 1), text=words, label=few)).others == {"lfd": "an id"}


def test_values_with_parts_are_no_text():
    found = guess_columns(table(text=words, meta=lambda i: {"a": i}, label=few))
    assert found.others == {"meta": "its values have parts"}


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            {"text": words, "label": lambda i: ""},
            "x.csv: the column 'label', which is the output by its name, is empty in all 30 rows; expected what is to be answered there.",
        ),
        (
            {"question": words, "answers": lambda i: {"text": ["a"], "start": 1}},
            "x.csv: the column 'answers', which is the output by its name, has values with parts (text, start); expected text: put what "
            "is to be answered into a column of its own.",
        ),
        (
            {"id": lambda i: i, "text": words},
            "x.csv: found no column for the output beside 'text' ('id': an id); call them 'input' and 'output'.",
        ),
        (
            {"id": lambda i: i, "label": few},
            "x.csv: found no column for the input beside 'label' ('id': an id); call them 'input' and 'output'.",
        ),
    ],
)
def test_column_that_is_missing_is_named(columns, sentence):
    with pytest.raises(UserError) as caught:
        guess_columns(table(**columns))
    assert str(caught.value) == sentence
