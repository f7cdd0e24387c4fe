"""Tasks with conversations: which keys go together."""

import copy

import pytest

from loragrid.config.load import parse_config
from loragrid.errors import UserError

FILES = {split: {"path": f"data/{split}.jsonl"} for split in ("train", "validation", "test")}
TASK = {"source": "chats", "messages": "messages", "sample_types": {"human": {}}, "scorers": ["rouge"]}
RAW = {
    "models": {"m": {"source": {"path": "m"}}},
    "sources": {"chats": {"splits": FILES}},
    "tasks": {"talk": TASK},
    "mixes": {"alone": {"recipe": "target_only"}},
    "configs": {"lora": {"rank": 4, "loss_turns": "all"}},
    "scorers": {"rouge": {"type": "rouge"}},
    "grid": [
        {
            "base_models": ["m"],
            "tasks": ["talk"],
            "sample_types": ["human"],
            "mixes": ["alone"],
            "nb_samples": [4],
            "configs": ["lora"],
        }
    ],
}


def parsed(without=(), **keys):
    raw = copy.deepcopy(RAW)
    raw["tasks"]["talk"] = {key: value for key, value in (TASK | keys).items() if key not in without}
    return parse_config(raw)


def test_task_with_messages_needs_neither_instruction_nor_output():
    config = parsed(tools="tools")
    assert config.tasks["talk"].data_set("human").messages == "messages"
    assert config.configs["lora"].loss_turns == "all"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"output": "{{ a }}"},
            "tasks.talk.sample_types.human: 'messages' holds question and answer; leave out 'output', here and",
        ),
        (
            {"instruction": "Say it."},
            "tasks.talk.sample_types.human: 'messages' holds question and answer; leave out 'instruction'",
        ),
        ({"messages": "turns["}, "tasks.talk.sample_types.human.messages: not a valid expression: "),
        ({"tools": "{{ tools }}"}, "tasks.talk.sample_types.human.tools: not a valid expression: "),
        (
            {"prompt_variants": {"polite": {"instruction": "Please."}}},
            "tasks.talk.prompt_variants.polite.instruction: conversations (`messages`) have none; change the system_prompt.",
        ),
    ],
)
def test_keys_that_do_not_go_with_messages_are_named(keys, sentence):
    with pytest.raises(UserError) as caught:
        parsed(**keys)
    assert sentence in str(caught.value)


def test_tools_without_messages_are_named():
    with pytest.raises(UserError, match=r"tasks\.talk\.sample_types\.human: 'tools' needs 'messages', the conversation in which"):
        parsed(without=["messages"], instruction="Say it.", output="{{ a }}", tools="tools")
