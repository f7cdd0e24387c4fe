"""Rows with conversations become examples: all turns before the last one are asked, the last one is the reference."""

import json

import pytest

from loragrid.data.conversations import read_conversation, read_tools, transcript
from loragrid.data.decontamination import find_leaks
from loragrid.data.rows import read_rows
from loragrid.data.splitting import map_row
from loragrid.data.tasks import DataSetFields
from loragrid.errors import UserError
from loragrid.records import Example, read_records, write_records

ASKED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi!"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "And you?"},
]
OPENAI = [*ASKED, {"role": "assistant", "content": "Fine."}]
SHAREGPT = [
    {"from": "system", "value": "Be brief."},
    {"from": "human", "value": "Hi!"},
    {"from": "gpt", "value": "Hello."},
    {"from": "human", "value": "And you?"},
    {"from": "gpt", "value": "Fine."},
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
CALLING = [
    {"role": "user", "content": "Is it cold in Oslo?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "name": "weather", "content": "-3"},
    {"role": "assistant", "content": "Yes, it is."},
]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}}}


def example_of(row: dict, **fields: str) -> Example:
    return map_row(row, DataSetFields(messages="messages", answers="each", **fields), "t", "s")


def told(turns) -> list[dict]:
    return [turn.model_dump() for turn in turns]


@pytest.mark.parametrize("messages", [OPENAI, SHAREGPT, json.dumps(OPENAI), json.dumps(SHAREGPT)])
def test_layouts_of_openai_and_sharegpt_become_the_same_example(messages):
    example = example_of({"messages": messages})
    assert (told(example.messages), example.output) == (ASKED, "Fine.")
    assert example.instruction == "Be brief."
    assert example.input == "User: Hi!\n\nAssistant: Hello.\n\nUser: And you?"
    assert example.id == example_of({"messages": OPENAI}).id


def test_single_question_is_the_input_as_it_is():
    assert example_of({"messages": OPENAI[1:3]}).input == "Hi!"


def test_conversation_with_other_turns_or_tools_is_another_example():
    ids = {
        example_of({"messages": messages, "tools": tools}, tools="tools").id
        for messages in (OPENAI, OPENAI[1:], CALLING)
        for tools in (None, [TOOL])
    }
    assert len(ids) == 6


def test_tool_calls_have_their_arguments_as_values_and_tools_the_form_of_openai():
    example = example_of({"messages": CALLING, "tools": [TOOL["function"]]}, tools="tools")
    assert example.messages[1].tool_calls == [CALL | {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]
    assert told(example.messages)[2] == CALLING[2]
    assert example.tools == [TOOL]
    assert transcript(example.messages).splitlines()[2:] == [
        'Assistant: {"name": "weather", "arguments": {"city": "Oslo"}}',
        "",
        "Tool: -3",
    ]


def test_function_call_of_sharegpt_is_a_tool_call():
    asked = [{"from": "human", "value": "Cold?"}, {"from": "function_call", "value": '{"name": "weather", "arguments": {}}'}]
    turns = read_conversation([*asked, {"from": "observation", "value": "-3"}, {"from": "gpt", "value": "Yes."}]).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "tool"]
    assert turns[1].tool_calls[0]["function"]["name"] == "weather"


def test_call_in_the_way_of_openai_before_tools_is_one_beside_its_text_too():
    call = {"role": "assistant", "content": "I look.", "function_call": CALL["function"]}
    conversation = read_conversation([CALLING[0], call, {"role": "function", "name": "weather", "content": "-3"}, CALLING[3]])
    assert told(conversation.turns)[1] == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}],
    }


def test_empty_cell_of_a_csv_file_has_no_tools():
    assert example_of({"messages": json.dumps(OPENAI), "tools": ""}, tools="tools").tools == []


@pytest.mark.parametrize("ending", ["parquet", "arrow", "jsonl", "json"])
def test_conversation_reads_alike_from_every_kind_of_file(tmp_path, ending):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows = tmp_path / f"rows.{ending}", [{"messages": OPENAI, "tools": None}, {"messages": CALLING, "tools": [TOOL]}]
    if ending == "parquet":
        # Each turn then has the keys of all turns.
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == "arrow":
        table = pa.Table.from_pylist(rows)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text("\n".join(map(json.dumps, rows)) if ending == "jsonl" else json.dumps(rows))
    found = [example_of(row, tools="tools") for _, row in read_rows(path)]
    assert [told(one.messages) for one in found] == [told(example_of(row, tools="tools").messages) for row in rows]
    assert found[1].messages[1].tool_calls[0]["function"]["arguments"] == {"city": "Oslo"}


def test_turns_survive_a_file_and_examples_without_turns_are_written_as_before(tmp_path):
    examples = [example_of({"messages": CALLING, "tools": [TOOL]}, tools="tools")]
    write_records(tmp_path / "rows.jsonl", examples)
    assert read_records(tmp_path / "rows.jsonl", Example) == examples
    plain = Example(id="1", task="t", sample_type="s", instruction="i", input="", output="o")
    assert not {"messages", "tools"} & {*plain.model_dump(mode="json")}


USER, ANSWER = {"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}


@pytest.mark.parametrize(
    ("messages", "sentence"),
    [
        ("Hi!", "found 'Hi!'; expected a list of turns."),
        ({"role": "user"}, "found {'role': 'user'}; expected a list of turns."),
        ([], "none of the 0 turns is the assistant's; the last one has to be the answer."),
        ([USER], "none of the 1 turns is the assistant's; the last one has to be the answer."),
        ([USER, ANSWER, USER], "the last turn, 3, is of the role 'user'; expected the assistant's answer."),
        ([ANSWER], "nothing is asked before the answer; expected a turn of the user."),
        ([USER, "Hello."], "turn 2 is 'Hello.'; expected a mapping with 'role' and 'content', or with 'from' and 'value'."),
        ([{"content": "x"}, ANSWER], "turn 1 has content; expected 'role' and 'content', or 'from' and 'value'."),
        ([USER | {"role": "asistant"}, ANSWER], "turn 1 has the unknown role 'asistant'; did you mean 'assistant'?"),
        ([USER | {"content": " \n"}, ANSWER], "turn 1, of the role 'user', is empty; expected text."),
        ([USER, ANSWER | {"content": None}], "turn 2, of the role 'assistant', is empty; expected text."),
        ([USER | {"content": 5}, ANSWER], "the content of turn 1 is 5; expected text."),
        (
            [USER | {"content": [{"type": "image_url"}]}, ANSWER],
            "the content of turn 1 has a part of type 'image_url'; expected text only.",
        ),
        (
            [USER, {"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}, ANSWER],
            "tool call 1 of turn 2 has no name; expected {'function': {'name': …, 'arguments': {…}}}.",
        ),
        (
            [USER, {"role": "assistant", "tool_calls": [{"name": "f", "arguments": "a, b"}]}, ANSWER],
            "the arguments of tool call 1 of turn 2 are 'a, b'; expected a mapping, or its JSON text.",
        ),
        (
            [USER | {"tool_calls": [CALL]}, ANSWER],
            "turn 1 calls a tool, but is of the role 'user'; only the assistant calls tools.",
        ),
        ([USER, ANSWER | {"tool_calls": [CALL]}], "the last turn, 2, calls a tool; expected an answer in text."),
        (
            [USER, ANSWER | {"function_call": CALL["function"]}],
            "the last turn, 2, calls a tool; expected an answer in text.",
        ),
        (json.dumps([USER | {"content": "\ud83d"}, ANSWER]), r"'\ud83d' is half a character; expected text."),
    ],
)
def test_bad_conversation_is_named_in_one_sentence(messages, sentence):
    with pytest.raises(UserError) as caught:
        example_of({"messages": messages})
    assert str(caught.value) == f"'messages': {sentence}"


def test_tool_without_a_name_is_named():
    with pytest.raises(UserError, match=r"^tool 2 has no name; expected \{'type': 'function'"):
        read_tools([TOOL, {"parameters": {}}])


def test_training_conversation_that_answers_a_test_question_on_its_way_is_a_leak():
    test = example_of({"messages": OPENAI[1:3]})
    goes_on = example_of({"messages": OPENAI[1:]})
    other = example_of({"messages": [{"role": "user", "content": "Who?"}, *OPENAI[2:]]})
    assert find_leaks([goes_on, other], {"test": [test]}).by_question == {goes_on.id: ["test"]}
    # What a test conversation has answered already is not asked of a model.
    assert find_leaks([test], {"test": [goes_on]}).by_question == {}


def test_training_conversation_that_gives_the_answer_of_a_test_passage_on_its_way_is_a_leak():
    passage = {"role": "user", "content": "Who wrote this: " + " ".join(f"word{i}" for i in range(20))}
    test = example_of({"messages": [passage, {"role": "assistant", "content": "Ibsen."}]})
    goes_on = example_of({"messages": [*OPENAI, passage, {"role": "assistant", "content": "Ibsen"}, *OPENAI[3:]]})
    with_other_answer = example_of({"messages": [*OPENAI, passage, {"role": "assistant", "content": "Me"}, *OPENAI[3:]]})
    assert find_leaks([goes_on, with_other_answer], {"test": [test]}).by_question == {goes_on.id: ["test"]}
