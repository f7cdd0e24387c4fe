"""Results of earlier versions that may be wrong are found by what is in them."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from loragrid.data.tokens import schema, write_tokens
from loragrid.layout import IMPORT_MODEL, PREDICT, PREPARE_DATASET, SCORE, TOKENISE, TRAIN, Evaluation, Run
from loragrid.planning.doubts.checks import CHECKS, Row, find_doubts
from loragrid.planning.doubts.listing import summary, write_list
from loragrid.records import Prediction, Score, write_records
from loragrid.runtime.job import MENDED

OF_DATA = {"task": "t", "sample_type": "s"}
RUN = Run("m", "t", "s", "alone", 4, "lora", "completion", 1)
UNKNOWN = dict.fromkeys(("queue_s", "compute_s", "runtime_s", "prompt_tokens", "new_tokens", "finish_reason", "batch_size"))


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content if isinstance(content, str) else json.dumps(content))


def data_set(*examples, split="test", **manifest):
    for name in ("train", "validation", "test"):
        path = Path(PREPARE_DATASET.path(name, OF_DATA))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_records(path, examples if name == split else [])
    write(PREPARE_DATASET.path("manifest", OF_DATA), manifest)
    return PREPARE_DATASET.path(split, OF_DATA)


def predictions(*texts, run="base", prompt="?", engine="hf", of_model=True, ids=None, **manifest):
    evaluation = Evaluation("m", "t", "s", run)
    paths = {name: PREDICT.path(name, evaluation.wildcards) for name in ("predictions", "manifest")}
    told = {"model": {"prompt_format": "auto", "engine": {"type": engine}}} if of_model else {}
    write(paths["manifest"], told | manifest)
    of = {"task": "t", "sample_type": "s", "base_model": "m", "run": run, "prompt": prompt, "reference": "yes", "engine": engine}
    write_records(
        paths["predictions"],
        [
            Prediction(id=id_, prediction=text, engine_version="", **of, **UNKNOWN)
            for id_, text in zip(ids or map(str, range(len(texts))), texts, strict=False)
        ],
    )
    return paths["predictions"]


def model(chat_template="", **files):
    folder = Path(IMPORT_MODEL.path("config", {"base_model": "m"})).parent
    tokens = [
        {"id": 1, "content": "<|end|>", "special": True},
        {"id": 2, "content": "<|turn_end|>", "special": False},
        {"id": 3, "content": "<think>", "special": False},
    ]
    write(folder / "tokenizer.json", {"added_tokens": tokens})
    write(folder / "config.json", {"eos_token_id": [1]})
    write(folder / "chat_template.jinja", chat_template)


def tokens():
    path = TOKENISE.path("tokens", {"base_model": "m", **OF_DATA})
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([], schema=schema()), path)
    return path


def training(**manifest):
    path = TRAIN.path("adapter", RUN.wildcards)
    write(path, "weights")
    write(TRAIN.path("manifest", RUN.wildcards), {"model": {"prompt_format": "chat"}} | manifest)
    return path


def doubts():
    return {(row.check, row.file): row.evidence for row in find_doubts()}


@pytest.mark.parametrize("text", ["None", "nan", "b'yes'", 'b"it\'s"', "['a', 'b']", '["it\'s"]', "[]", "3.799999952316284"])
@pytest.mark.parametrize("field", ["input", "output", "metadata"])
def test_text_that_python_wrote_for_null_bytes_or_a_list_is_doubtful(make_example, text, field):
    path = data_set(make_example("a", **{field: {"key": text} if field == "metadata" else text}))
    assert doubts() == {("values", path): f"1 texts, such as {text}"}


@pytest.mark.parametrize(
    "text", ["none", "None of them", "banana", "b", "[1, 2]", "[sic] 'so'", "", "1.0", "0.5", "3.8", "3.3333333333333335"]
)
def test_other_texts_are_not(make_example, text):
    data_set(make_example("a", input=text))
    assert doubts() == {}


def test_answers_from_elsewhere_are_looked_at_and_those_of_models_may_be_so(make_example):
    path = predictions("yes", "nan", run="theirs", engine="external", of_model=False)
    predictions("nan")
    assert doubts() == {("values", path): "1 answers, such as nan"}


@pytest.mark.parametrize(
    ("text", "is_doubtful"), [("yes<|end|>", True), ("yes<|turn_end|>", True), ("yes", False), ("<|end|> it is", False)]
)
def test_answer_that_ends_in_an_end_token_is_doubtful(text, is_doubtful):
    model(chat_template="{{ messages[0].content }}<|turn_end|>")
    path = predictions("no", text)
    assert [key for key in doubts() if key[0] == "end tokens"] == ([("end tokens", path)] if is_doubtful else [])


@pytest.mark.parametrize(
    ("text", "prompt", "run", "is_doubtful"),
    [
        ("<think>a</think>yes", "?", "base", True),
        ("<think>a</think>yes", "?", RUN.name, True),
        ("a</think>yes", "?", RUN.name, True),
        # The prompt has opened a thought that did not end. A run has learnt to answer there.
        ("yes", "?<think>\n", "base", True),
        ("yes", "?<think>\n", RUN.name, False),
        ("yes", "?", "base", False),
    ],
)
def test_answer_with_thoughts_is_doubtful(text, prompt, run, is_doubtful):
    path = predictions(text, run=run, prompt=prompt)
    assert list(doubts()) == ([("thoughts", path)] if is_doubtful else [])


def test_what_a_template_has_dated_is_doubtful(make_example):
    model(chat_template="{{ strftime_now('%d %b %Y') }}")
    data_set(make_example("a"))
    expected = {("dates", path) for path in (training(), predictions("yes"), tokens())}
    assert doubts().keys() == expected


def test_what_was_not_written_with_the_chat_template_is_not(make_example):
    model(chat_template="{{ strftime_now('%d %b %Y') }}")
    training(model={"prompt_format": "plain"})
    predictions("yes", model={"prompt_format": "chat", "chat_template": "{{ messages }}"})
    tokens()
    assert doubts() == {}


def test_prompt_without_its_question_is_doubtful_and_one_that_was_cut_is_not(make_example):
    model()
    example = make_example("a", input="What is the capital\n of France, that large country?")
    data_set(example)
    trained = training()
    path = predictions("Paris", prompt="<|user|>What is the capital of France, that", ids=[example.id])
    assert doubts() == {}
    path = predictions("Paris", prompt="<|user|>", ids=[example.id])
    assert doubts().keys() == {("lost questions", path), ("lost questions", trained)}


def test_prompts_of_texts_that_spell_a_control_token_are_doubtful(make_example):
    model()
    path = data_set(make_example("a", input="What does <|end|> mean?"))
    expected = {("control tokens", file): f"{path} spells <|end|>" for file in (tokens(), predictions("yes"))}
    assert doubts() == expected


def weights(folder, *names):
    Path(folder).mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(1) for name in names}, Path(folder) / "model.safetensors")
    return (Path(folder) / "model.safetensors").as_posix()


def test_weight_that_the_source_of_a_model_lacks_is_doubtful():
    weights("source", "_orig_mod.model.norm.weight", "lm_head.weight")
    path = weights("results/models/m", "model.norm.weight", "lm_head.weight")
    write("results/models/m/config.json", {})
    write("results/models/m/manifest.json", {"source": {"path": "source"}})
    assert doubts() == {("weights", path): "source has no model.norm.weight (1 weights)"}
    weights("source", "model.norm.weight", "lm_head.weight")
    assert doubts() == {}


@pytest.mark.parametrize(
    ("config", "packing", "device", "is_doubtful"),
    [
        ({"model_type": "lfm2"}, "auto", "NVIDIA H100", True),
        ({"model_type": "lfm2"}, "off", "NVIDIA H100", False),
        # There it was padded.
        ({"model_type": "lfm2"}, "auto", "cpu", False),
        ({"model_type": "llama"}, "on", "NVIDIA H100", False),
        ({"model_type": "phi3", "rope_scaling": {"type": "longrope"}}, "on", "NVIDIA H100", True),
        ({"model_type": "qwen2_moe", "use_sliding_window": True}, "auto", "cpu", True),
        ({"model_type": "qwen2_moe", "use_sliding_window": False}, "auto", "cpu", False),
    ],
)
def test_training_whose_examples_may_have_seen_each_other_is_doubtful(config, packing, device, is_doubtful):
    write("results/models/m/config.json", config)
    path = training(config={"packing": packing}, hardware={"device": device})
    assert list(doubts()) == ([("packing", path)] if is_doubtful else [])


@pytest.mark.parametrize(
    ("value", "reply", "is_doubtful"),
    [
        (8, '{"Score": 8, "score": 9}', True),
        (8, '{"score": 8, "reason": "clear"}', False),
        (8, '{"score": 8, "Score": 8}', False),
        (None, '{"Score": 8, "score": 9}', False),
    ],
)
def test_score_that_a_judge_contradicts_in_the_same_reply_is_doubtful(value, reply, is_doubtful):
    path = SCORE.path("scores", Evaluation("m", "t", "s", "base").wildcards | {"scorer": "judge"})
    Path(path).parent.mkdir(parents=True)
    score = Score(id="a", scorer="judge", metric="score", value=value, status="ok" if value else "unreadable", detail=reply)
    write_records(path, [score])
    assert doubts() == ({("contradictions", path): "1 replies, such as the one on a"} if is_doubtful else {})


def test_what_this_version_makes_is_not_in_doubt(make_example):
    model(chat_template="{{ strftime_now('%d %b %Y') }}")
    data_set(make_example("a", input="None", output="<|end|>"), mended=MENDED)
    training(mended=MENDED)
    predictions("<think>a</think>yes<|end|>", mended=MENDED)
    write_tokens(tokens(), pa.Table.from_pylist([], schema=schema()))
    assert doubts() == {}


def test_nothing_to_doubt_is_said():
    assert find_doubts() == []
    assert summary([]).startswith("No result is in doubt")


def test_list_names_the_file_to_delete_the_check_and_the_evidence(make_example):
    path = data_set(make_example("a", input="None"), make_example("b", output="None"))
    rows = find_doubts()
    write_list(rows)
    with open("results/doubtful.csv", newline="") as file:
        assert [Row(**row) for row in csv.DictReader(file)] == rows
    assert rows[0].file == path
    assert "1  values: null, bytes, a list or a number of the data was read as another text" in summary(rows)


def test_checks_have_names_of_their_own_and_are_about_faults_mended_by_now():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(0 < check.since <= MENDED for check in CHECKS)
