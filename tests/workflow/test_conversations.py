"""Data with conversations go through the whole workflow."""

import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from projects import WORDS


def talk(first: str, second: str) -> dict:
    turns = [("system", "Be brief."), ("human", first), ("gpt", f"{first}!"), ("human", second), ("gpt", f"{second}!")]
    return {"conversations": [{"from": role, "value": text} for role, text in turns]}


@pytest.fixture
def talking(changeable):
    """The project with a task of conversations, which two runs learn: its last answers, and all answers."""
    for offset, split in enumerate(("train", "validation", "test")):
        rows = [
            talk(f"{word} {split}", f"{other} {split}") for word, other in zip(WORDS[offset:], WORDS[offset + 1 :], strict=False)
        ]
        (changeable.folder / f"data/talks_{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def add(config):
        files = {split: {"path": f"data/talks_{split}.jsonl"} for split in ("train", "validation", "test")}
        config["sources"]["talks"] = {"splits": files}
        asked = {"source": "talks", "messages": "conversations", "sample_types": {"gold": {}}, "scorers": ["rouge"]}
        config["tasks"]["talk"] = asked | {"max_new_tokens": 6, "subset": 3}
        config["configs"]["all_turns"] = config["configs"]["lora"] | {"loss_turns": "all"}
        config["grid"].append(config["grid"][0] | {"tasks": ["talk"], "nb_samples": [4], "configs": ["lora", "all_turns"]})

    changeable.edit_config(add)
    return changeable


def test_conversations_are_learnt_and_asked_with_their_history_and_nothing_else_is_computed_anew(talking, tokenizer):
    planned = talking.planned()
    assert (planned["train"], planned["predict"], planned["tokenise"]) == (2, 3, 1)
    talking.snakemake()
    assert talking.planned() == {}

    examples = [json.loads(line) for line in (talking.folder / "results/datasets/talk/gold/test.jsonl").read_text().splitlines()]
    expected = {
        one["id"]: tokenizer.apply_chat_template(one["messages"], tokenize=False, add_generation_prompt=True) for one in examples
    }
    predictions = [
        json.loads(line) for path in talking.files("predictions/talk/gold/tiny/*.jsonl") for line in path.read_text().splitlines()
    ]
    assert len(predictions) == 3 * 3
    for one in predictions:
        assert one["prompt"] == expected[one["id"]]
        assert "<|im_start|>assistant\n" + one["reference"].split()[0] not in one["prompt"]

    [tokens] = talking.files("tokens/tiny/talk/gold.parquet")
    assert all(len(spans) == 1 for spans in pq.read_table(tokens)["earlier_answers"].to_pylist())
    losses = {path.parent.name.split("__")[4]: pd.read_csv(path) for path in talking.files("adapters/talk/gold/tiny/*/loss.csv")}
    assert losses.keys() == {"lora", "all_turns"}
    # Before the first step the model is the same: another loss is one over other tokens.
    assert losses["lora"]["validation_loss"].iloc[0] != losses["all_turns"]["validation_loss"].iloc[0]
    assert examples[0]["instruction"] == "Be brief."
    assert examples[0]["input"].startswith("User: ")
