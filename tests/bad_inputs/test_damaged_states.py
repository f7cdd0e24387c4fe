"""Unfinished work whose files are damaged: it is set aside with a sentence in the log, and the work goes on from what is whole."""

import json
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from loragrid.inference.protocol import Answer, Decoding, generate
from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.runtime.states import describe_state, whose_state
from loragrid.scoring.judge_ledger import Judgement, Ledger
from loragrid.scoring.protocol import Item, Scored
from loragrid.scoring.store import scored_once
from loragrid.training import loop
from loragrid.training.checkpoints import load_checkpoint, save_checkpoint
from loragrid.training.job import run_training
from trainings import adapter_bytes

PROCESS = SimpleNamespace(distributed_type=SimpleNamespace(value="NO"), is_main_process=True)
PROGRESS = {"course": [[0, 0.0, None, 2.0, 0.0, 0, 0.0], [1, 0.5, 1.5, None, 0.1, 9, 0.2]], "best_loss": 2.0, "without_gain": 0}
FIRST, SECOND, THIRD = (b'{"journal": "j", "a": 1}\n', b'{"b": 2}\n', b'{"c": 3}\n')
WHOLE = FIRST + SECOND + THIRD


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, "loragrid")


LINES = "j.jsonl: {} of {} lines are damaged and left out; j.jsonl.damaged is a copy of what was there"
FOREIGN = (
    "j.jsonl is damaged (it is the journal of other work) and set aside as j.jsonl.damaged; the work goes on from what is whole"
)

JOURNALS = [
    ("empty", b"", {}, None),
    ("cut in its last line", WHOLE[:-3], {"a": 1, "b": 2}, None),
    ("cut behind a line", FIRST + SECOND, {"a": 1, "b": 2}, None),
    ("cut in its first line", FIRST[:9], {}, None),
    ("zeros of a file system that lost them at the end", WHOLE + bytes(4096), {"a": 1, "b": 2, "c": 3}, None),
    ("only zeros", bytes(4096), {}, None),
    ("zeros in the middle", FIRST + bytes(len(SECOND) - 1) + b"\n" + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("a line cut in the middle", FIRST + SECOND[:4] + b"\n" + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("two lines run together", FIRST + SECOND[:-1] + THIRD, {"a": 1}, LINES.format(1, 2)),
    ("bytes that are no text", FIRST + b'{"b": "\xff\xfe"}\n' + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("binary garbage", bytes(range(256)) * 3 + b"\n", {}, LINES.format(4, 4)),
    ("a list", FIRST + b'["b", 2]\n' + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("a number", FIRST + b"2\n" + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("deeper than can be read", FIRST + b'{"b":' * 100_000 + b"\n" + THIRD, {"a": 1, "c": 3}, LINES.format(1, 3)),
    ("its first line is damaged", b"{" + WHOLE, {"b": 2, "c": 3}, LINES.format(1, 3)),
    ("of other work", WHOLE.replace(b'"j"', b'"k"'), {}, FOREIGN),
]


@pytest.mark.parametrize(("content", "kept", "sentence"), [row[1:] for row in JOURNALS], ids=[row[0] for row in JOURNALS])
def test_journal_keeps_its_whole_lines(caplog, content, kept, sentence):
    journal = Path("j.jsonl")
    journal.write_bytes(content)
    assert read_journal(journal) == kept
    assert caplog.messages == ([sentence] if sentence else [])
    assert not sentence or Path("j.jsonl.damaged").read_bytes() == content
    append_to_journal(journal, {"d": 4})
    assert read_journal(journal) == kept | {"d": 4}
    assert len(caplog.messages) <= 1


UNREADABLE = [
    ("a folder", lambda path: path.mkdir(), "Is a directory"),
    ("a link to nothing", lambda path: path.symlink_to("nowhere"), "No such file or directory"),
    ("a link to itself", lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
]


@pytest.mark.parametrize(("make", "why"), [row[1:] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_journal_that_is_no_file_is_set_aside_once(caplog, make, why):
    journal = Path("j.jsonl")
    for _ in range(2):
        make(journal)
        assert read_journal(journal) == {}
        assert [path.name for path in Path().iterdir()] == ["j.jsonl.damaged"]
    said = f"j.jsonl is damaged ({why}) and set aside as j.jsonl.damaged; the work goes on from what is whole"
    assert caplog.messages == [said] * 2


ANSWER = Answer("yes", [1, 2], 3, 2, "stop", 0.5, 0.25, 0.25, 1)._asdict()
BAD_ANSWERS = [
    ("without a text", {key: value for key, value in ANSWER.items() if key != "text"}),
    ("with a number as text", ANSWER | {"text": 5}),
    ("that ended in no known way", ANSWER | {"finish_reason": "tired"}),
    ("with a key too many", ANSWER | {"more": 1}),
    ("that is a list", [ANSWER]),
    ("that is nothing", None),
]


@pytest.mark.parametrize("bad", [row[1] for row in BAD_ANSWERS], ids=[row[0] for row in BAD_ANSWERS])
def test_answer_that_is_none_is_asked_for_again(bad):
    prompts = [SimpleNamespace(prompt_ids=[i], prompt=str(i)) for i in range(2)]
    asked = []

    def answer(questions, decoding, answered):
        for i in set(range(len(questions))) - answered:
            asked.append(i)
            yield {i: Answer(**ANSWER)}

    journal = Path("a.jsonl")
    whole = generate(answer, prompts, Decoding(4), journal)
    lines = journal.read_text().splitlines()
    entry = json.loads(lines[0])
    key = next(key for key in entry if key != "journal")
    journal.write_text("\n".join([json.dumps(entry | {key: bad}), lines[1]]) + "\n")
    assert generate(answer, prompts, Decoding(4), journal) == whole
    assert asked == [0, 1, 0]


@pytest.mark.parametrize(
    "bad", [{"metrics": None}, {"metrics": {"value": "high"}}, {"reason": []}, [1], "x", {"other": 1}], ids=str
)
def test_kept_value_that_is_none_is_computed_again(bad):
    store, scored = Path("s.jsonl"), []

    def score(items):
        scored.extend(item.id for item in items)
        return [Scored({"value": 1.0}) for _ in items]

    items = [Item("a", "x", ("y",)), Item("b", "z", ("y",))]
    whole = scored_once(items, list, score, store)
    [line] = [json.loads(line) for line in store.read_text().splitlines()]
    keys = [key for key in line if key != "journal"]
    store.write_text("".join(json.dumps({key: bad if key == keys[0] else line[key]}) + "\n" for key in keys))
    assert scored_once(items, list, score, store) == whole
    assert len(scored) == 3


JUDGED = Judgement("good", False, False, 10, 5)


@pytest.mark.parametrize(
    ("key", "bad"),
    [("k2", {"text": "good"}), ("k2", 5), ("k2", None), ("sent/2", "many"), ("sent/2", [1]), ("sent/2", [None, 2])],
    ids=str,
)
def test_judgement_or_cost_that_is_none_is_left_out(key, bad):
    store = Path("j.jsonl")
    for entry in ({"k1": JUDGED._asdict()}, {key: bad}, {"sent/1": [3, 4]}):
        append_to_journal(store, entry)
    ledger = Ledger(store, None, None)
    assert ledger.judgements == {"k1": JUDGED}
    assert ledger.total == (13, 9)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"5", b"[" * 100_000], ids=lambda content: str(content[:5]))
def test_description_of_a_state_that_cannot_be_read_is_written_again(content):
    state = Path("state")
    state.with_suffix(".json").write_bytes(content)
    assert whose_state(state) == {}
    describe_state(state, {"result": "x"})
    assert whose_state(state) == {"result": "x"}


def small_training(factor=1.0):
    torch.manual_seed(0)
    model = torch.nn.Linear(64, 8)
    optimizer = torch.optim.AdamW(model.parameters())
    (model(torch.ones(2, 64)) * factor).sum().backward()
    optimizer.step()
    return model, optimizer


def rewritten(path, weights=None, **metadata):
    """A checkpoint with other tensors or other words about itself."""
    with safe_open(path, "pt") as file:
        told = file.metadata() | metadata
    save_file(load_file(path) if weights is None else weights(load_file(path)), path, {k: v for k, v in told.items() if v})


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def as_folder(path):
    path.unlink()
    path.mkdir()


HEADER = "Error while deserializing header: {}"
CHECKPOINTS = [
    ("empty", lambda path: path.write_bytes(b""), HEADER.format("header too small")),
    ("cut in the length of its header", lambda path: os.truncate(path, 5), HEADER.format("header too small")),
    ("cut in its header", lambda path: os.truncate(path, 60), HEADER.format("invalid header length")),
    ("cut in its weights", lambda path: os.truncate(path, 2000), HEADER.format("incomplete metadata, file not fully covered")),
    (
        "without its last byte",
        lambda path: os.truncate(path, path.stat().st_size - 1),
        HEADER.format("incomplete metadata, file not fully covered"),
    ),
    ("zeros", lambda path: path.write_bytes(bytes(path.stat().st_size)), HEADER.format("invalid JSON in header")),
    ("garbage", lambda path: path.write_bytes(b"\x89PNG" * 1000), HEADER.format("header too large")),
    ("a flipped bit in its weights", lambda path: flip(path, -9), "its content has another hash than when it was written"),
    ("a folder", as_folder, "a folder instead of a file"),
    ("of another training", lambda path: rewritten(path, state="other"), "it is the checkpoint of another training"),
    (
        "of another model",
        lambda path: rewritten(path, lambda weights: {k.replace("bias", "scale"): v for k, v in weights.items()}, sha256=None),
        "it has the weights of another model",
    ),
    (
        "of a model of another size",
        lambda path: rewritten(path, lambda weights: weights | {"weight bias": torch.zeros(9)}, sha256=None),
        "bias has another shape",
    ),
    ("without progress", lambda path: rewritten(path, progress=None), "'progress'"),
    ("with the progress of another", lambda path: rewritten(path, progress="{}"), "its content has another hash"),
    ("with an empty loss curve", lambda path: rewritten(path, progress='{"course": []}', sha256=None), "lacks the loss curve"),
]


@pytest.mark.parametrize(("damage", "why"), [row[1:] for row in CHECKPOINTS], ids=[row[0] for row in CHECKPOINTS])
def test_damaged_checkpoint_is_set_aside_before_anything_of_it_is_taken(caplog, damage, why):
    state = Path("state")
    state.mkdir()
    save_checkpoint(state, PROCESS, *small_training(), PROGRESS, {})
    damage(state / "checkpoint.safetensors")
    model, optimizer = small_training(factor=-1.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert load_checkpoint(state, PROCESS, model, optimizer) is None
    [said] = caplog.messages
    assert said.startswith("state/checkpoint.safetensors is damaged (")
    assert why in said
    assert said.endswith(") and set aside as checkpoint.safetensors.damaged; the work goes on from what is whole")
    assert [path.name for path in state.iterdir()] == ["checkpoint.safetensors.damaged"]
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_checkpoint_of_an_earlier_version_is_taken():
    state = Path("state")
    state.mkdir()
    trained, optimizer = small_training()
    save_checkpoint(state, PROCESS, trained, optimizer, PROGRESS, {})
    rewritten(state / "checkpoint.safetensors", state=None, sha256=None)
    model, optimizer = small_training(factor=-1.0)
    assert load_checkpoint(state, PROCESS, model, optimizer) == (PROGRESS, {})
    assert torch.equal(model.weight, trained.weight)


class DiedError(Exception):
    pass


DAMAGES = {
    "emptied": lambda content: b"",
    "cut at a third": lambda content: content[: len(content) // 3],
    "without its last byte": lambda content: content[:-1],
    "garbage": lambda content: b"\x00\xff\n{" * (len(content) // 4),
}


def test_training_with_a_damaged_state_ends_with_the_bytes_of_one_that_was_never_interrupted(make_job, monkeypatch, caplog):
    whole, died = make_job("whole", epochs=2), make_job("died", epochs=2)
    run_training(whole, None)

    def die(seed, step, process, seed_step=loop.seed_step):
        if step == 3:
            raise DiedError
        seed_step(seed, step, process)

    with monkeypatch.context() as dying:
        dying.setattr(loop, "seed_step", die)
        with pytest.raises(DiedError):
            run_training(died, None)
    shutil.copytree(died.state, "kept")
    files = [path.relative_to("kept") for path in Path("kept").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for change in DAMAGES.values():
        shutil.rmtree(died.state)
        shutil.copytree("kept", died.state)
        for file in files:
            Path(died.state, file).write_bytes(change(Path("kept", file).read_bytes()))
        caplog.clear()
        run_training(died, None)
        assert adapter_bytes(died) == adapter_bytes(whole)
        assert any("checkpoint.safetensors is damaged" in said for said in caplog.messages)
        assert list(Path(died.state).iterdir()) == []
