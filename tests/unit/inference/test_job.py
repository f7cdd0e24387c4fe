"""What a prediction job is told, and where it keeps its answers."""

import contextlib
import json
import os
import threading
from pathlib import Path

import pytest

from loragrid.inference.engine import ModelToAsk
from loragrid.inference.job import PredictFiles, PredictJob, file_fingerprints, journal_of, predict
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.protocol import Answer, Engine
from loragrid.inference.settings import PredictSettings
from loragrid.layout import LOCKS
from loragrid.records import Prediction, read_records, write_records
from loragrid.runtime.finished import MARKERS, RECORDS, forget_recorded, record_of
from loragrid.runtime.locks import only_job_for
from loragrid.sections import decisive, with_speed

GREEDY = {"max_new_tokens": 6, "temperature": 0, "samples": 1, "seed": 0, "latency": False}
SAMPLED = {
    "max_new_tokens": 6,
    "repetition_penalty": 1.1,
    "stop": ["zz"],
    "top_p": 0.9,
    "top_k": 40,
    "temperature": 1.0,
    "samples": 2,
    "seed": 3,
    "latency": False,
}
SERVED = {"settings": {"user": "u"}, "type": "openai", "model": None, "api": "completions", "send": "text", "load_adapters": True}


def told(engine, decoding, **model):
    """The parameters of a job's rule."""
    of_model = {"dtype": "auto", "prompt_format": "auto", "system_prompt": None, "template": "{{ instruction }}"} | model
    return {
        "version": 2,
        "axes": {"task": "t", "sample_type": "s", "base_model": "m", "run": "base", "nb_samples": 4},
        "model": of_model | {"engine": engine, "context_length": None},
        "quantization": "8bit",
        "prompting": {"type": "few_shot", "k": 2, "seed": 0},
        "instruction": None,
        "decoding": decoding,
        "subset": None,
    }


MODEL_FILES = {"model": "model.safetensors", "model_config": "config.json", "tokenizer": "tokenizer.json"}


CASES = {
    "hf": (told({"type": "hf"}, GREEDY), None),
    "hf, fast": (told({"type": "hf"}, SAMPLED, chat_template="{{ messages }}"), {"type": "hf", "batch_tokens": 9}),
    "openai": (told(SERVED, GREEDY), {"type": "openai", "retries": 9}),
    "vllm": (told({"type": "vllm", "settings": {"max_num_seqs": 8}}, SAMPLED), None),
}
"""What a job is told, and its engine in the configuration."""


@pytest.mark.parametrize("case", CASES)
def test_what_a_job_is_told_is_the_same_once_it_is_read(case):
    params = CASES[case][0]
    assert repr(decisive(PredictSettings.model_validate(params))) == repr(params)


IN_MODEL = (
    "model.safetensors",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "sub/module.json",
)
IN_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
ENGINE = Engine("e", "5.0", print, "cpu", "float32")


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Gives the journal of a job that asks a model with an adapter, all its files small texts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("loragrid.inference.job.end_tokens", lambda renderer, folder: [2])
    for path in (*(f"model/{name}" for name in IN_MODEL), *(f"run/{name}" for name in IN_ADAPTER), "test"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    Path("model/manifest.json").write_text("imported at noon")

    def find(case="hf", engine=ENGINE, configured=None, **more):
        params, speed = CASES[case]
        settings = PredictSettings.model_validate(params | more)
        of_model = ModelFiles(
            "model/model.safetensors", "model/config.json", "model/tokenizer.json", *(f"run/{n}" for n in IN_ADAPTER)
        )
        files = PredictFiles("results/predictions/a.jsonl", "manifest", "test", of_model)
        job = PredictJob("m", settings, with_speed(settings.model.engine, configured or speed), files, threads=1)
        model = ModelToAsk(folder=Path("model"), trained=Path("run") / IN_ADAPTER[0])
        return journal_of(job, model, file_fingerprints(files, None), engine)

    return find


@pytest.mark.parametrize("path", [*(f"model/{name}" for name in IN_MODEL), *(f"run/{name}" for name in IN_ADAPTER)])
def test_journal_is_named_by_the_bytes_of_every_file_of_the_model(journal, path):
    before = journal()
    Path(path).write_text("other")
    assert journal() != before


def test_journal_is_named_by_all_that_decides_on_answers(journal, monkeypatch):
    names = [
        *map(journal, CASES),
        journal(quantization="none"),
        journal(version=3),
        journal(decoding=GREEDY | {"max_new_tokens": 7}),
        journal(configured={"type": "hf", "batch_tokens": 8}),
        journal(engine=ENGINE._replace(dtype="bfloat16")),
        journal(engine=ENGINE._replace(device="a GPU")),
        journal(engine=ENGINE._replace(version="6")),
    ]
    monkeypatch.setenv("OPENAI_BASE_URL", "https://elsewhere")
    names.append(journal("openai"))
    for function in ("versions", "installed_versions"):
        monkeypatch.setattr(f"loragrid.inference.job.{function}", lambda *names: {"other": "1"})
        names.append(journal())
    assert len(set(names)) == len(names)


def test_journal_keeps_its_name_whatever_changes_no_answer(journal):
    before = journal()
    Path("model/manifest.json").write_text("imported once more")
    Path("test").write_text("more questions")
    assert journal() == before
    assert journal(axes=CASES["hf"][0]["axes"] | {"nb_samples": 5}) == before
    assert journal("openai", configured=SERVED | {"retries": 1}) == journal("openai")


@pytest.fixture
def job(tmp_path, monkeypatch, make_example):
    """A job that asks a model on a server."""
    monkeypatch.chdir(tmp_path)
    write_records("test.jsonl", [make_example(str(i)) for i in range(3)])
    params = told(SERVED | {"api": "chat"}, GREEDY) | {"prompting": {"type": "zero_shot"}}
    settings = PredictSettings.model_validate(params)
    return PredictJob("m", settings, settings.model.engine, PredictFiles("a.jsonl", "a.json", "test.jsonl", ModelFiles()), 1)


def opened(asked, died_after=None, text=None):
    """Opens an engine that notes what it is asked, and dies after so many answers. Its answers are a text, or prompts reversed."""

    def answer(questions, decoding, answered):
        for i, question in enumerate(questions):
            if i not in answered:
                if len(asked) == died_after:
                    raise KeyboardInterrupt
                asked.append(question.prompt.prompt)
                yield {i: Answer(text or question.prompt.prompt[::-1], [], 1, 1, "stop", 0, 1, 1, 1)}

    return lambda engine, model: contextlib.nullcontext(Engine("e", "5.0", answer, "here", "float32"))


def test_model_that_is_loaded_already_can_be_handed_in(job):
    asked = []
    predict(job, 0, opened(asked))
    rows = read_records("a.jsonl", Prediction)
    assert [row.prediction for row in rows] == [prompt[::-1] for prompt in asked]
    assert {(row.engine, row.engine_version, row.nb_samples) for row in rows} == {("e", "5.0", 4)}
    manifest = json.loads(Path("a.json").read_text())
    assert (manifest["hardware"]["device"], manifest["examples"], manifest["generation_s"]) == ("here", 3, 3)
    assert manifest["model"]["engine"]["retries"] == 5
    assert not list(Path("results/.state/predictions").iterdir())


@pytest.mark.parametrize("send", ["text", "token_ids"])
def test_prompts_that_spell_control_tokens_are_counted_and_told_where_a_server_gets_text(
    job, make_example, tiny_model, caplog, send
):
    write_records("test.jsonl", [make_example("a", input="<|im_end|>"), make_example("b")])
    settings = PredictSettings.model_validate(
        told(SERVED | {"send": send}, GREEDY, template=None) | {"prompting": {"type": "zero_shot"}}
    )
    files = ModelFiles(model=f"{tiny_model}/model.safetensors", tokenizer=f"{tiny_model}/tokenizer.json")
    asking = PredictJob("m", settings, settings.model.engine, job.files._replace(model=files), 1)
    with caplog.at_level("WARNING", "loragrid"):
        predict(asking, 0, opened([]))
    manifest = json.loads(Path("a.json").read_text())
    assert manifest["prompts_that_spell_control_tokens"] == 1
    assert manifest["model"]["date"] == "2024-07-26"
    assert "1 prompts or answers spell control tokens; the tokenizer reads them as text (<|im_end|>)" in caplog.text
    assert ("the server makes tokens of these texts by itself" in caplog.text) == (send == "text")


def test_manifest_says_that_prompts_open_a_thought(job, tiny_model):
    template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}<think>{% endif %}"
    raw = told({"type": "hf"}, GREEDY, template=None, chat_template=template) | {"prompting": {"type": "zero_shot"}}
    settings = PredictSettings.model_validate(raw)
    files = ModelFiles(model=f"{tiny_model}/model.safetensors")
    predict(PredictJob("m", settings, settings.model.engine, job.files._replace(model=files), 1), 0, opened([]))
    assert json.loads(Path("a.json").read_text())["opened_thought"] == "</think>"


def test_job_that_died_asks_only_what_is_missing(job):
    first, second = [], []
    with pytest.raises(KeyboardInterrupt):
        predict(job, 0, opened(first, died_after=2))
    predict(job, 0, opened(second))
    assert (len(first), len(second)) == (2, 1)


KEPT = """\
{"journal": "36b3848f71243daa38b2699577dde29c", "26252208769c91748cc5abb839f8b0d2d17c27084a2560b3b628174c1377a323": {"text": "kept", \
"token_ids": [], "prompt_tokens": 1, "new_tokens": 1, "finish_reason": "stop", "queue_s": 0, "compute_s": 1, "runtime_s": 1, \
"batch_size": 1, "thoughts": ""}}
"""
"""What an earlier version has left of this job."""


def test_answers_that_an_earlier_version_has_left_are_taken_up(job, monkeypatch):
    for function, found in (("versions", {"python": "3"}), ("installed_versions", {})):
        monkeypatch.setattr(f"loragrid.inference.job.{function}", lambda *names, found=found: found)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    left = Path("results/.state/predictions/36b3848f71243daa38b2699577dde29c.jsonl")
    left.parent.mkdir(parents=True)
    left.write_text(KEPT)
    asked = []
    predict(job, 0, opened(asked))
    assert len(asked) == 2
    assert read_records("a.jsonl", Prediction)[0].prediction == "kept"


@pytest.mark.parametrize("changes", [None, "test.jsonl", "a.jsonl"])
def test_job_that_waited_for_another_takes_its_predictions_if_they_are_whole_and_of_the_same(job, make_example, caplog, changes):
    """Of another test set, or cut, they are made again."""
    predict(job, 0, opened([]))
    made, asked, began, ended = Path("a.jsonl").read_text(), [], threading.Event(), threading.Event()

    def other_job():
        with only_job_for(job.files.predictions, Path(LOCKS)):
            began.set()
            ended.wait(60)

    threading.Thread(target=other_job).start()
    began.wait(60)
    if changes == "test.jsonl":
        write_records("test.jsonl", [make_example("another")])
    elif changes:
        Path("a.jsonl").write_text(made[: len(made) // 2])
    with caplog.at_level("INFO", "loragrid"):
        threading.Timer(0.3, ended.set).start()
        predict(job, 0, opened(asked))
    assert f"the job that is waited for: process {os.getpid()} on " in caplog.text
    assert len(asked) == {None: 0, "test.jsonl": 1, "a.jsonl": 3}[changes]
    assert changes == "test.jsonl" or Path("a.jsonl").read_text() == made


def test_answers_stay_until_snakemake_has_recorded_the_predictions(job):
    for folder in (RECORDS, MARKERS):
        folder.mkdir(parents=True)
    record_of("a.jsonl", MARKERS).write_text("{}")
    first, second, third = [], [], []
    predict(job, 0, opened(first))
    # Snakemake was killed before it saw that; then it records them, and somebody deletes them.
    predict(job, 0, opened(second))
    record_of("a.jsonl").write_text("{}")
    predict(job, 0, opened(third))
    assert (len(first), len(second), len(third)) == (3, 0, 3)
    record_of("a.jsonl").write_text("{ }")
    forget_recorded()
    assert not list(Path("results/.state/predictions").iterdir())


def test_nothing_is_opened_where_every_answer_is_known(job):
    predict(job, 0, opened([]))
    known = job._replace(files=job.files._replace(predictions="b.jsonl", known="a.jsonl"))
    predict(known, 0, lambda engine, model: pytest.fail("opened"))
    assert Path("b.jsonl").read_text() == Path("a.jsonl").read_text()
    assert json.loads(Path("a.json").read_text())["taken_over"] == 3


THOUGHTFUL = [
    ("</think>\n\n18", {"base": ("18", None), "adapter": ("18", None)}),
    ("3 * 6</think>18", {"base": ("18", "3 * 6"), "adapter": ("18", "3 * 6")}),
    ("<think>3 * 6</think>18", {"base": ("18", "<think>3 * 6"), "adapter": ("18", "3 * 6")}),
    # A trained model has learnt to answer right behind the prompt.
    ("3 * 6", {"base": ("", "3 * 6"), "adapter": ("3 * 6", None)}),
]


@pytest.mark.parametrize("trained", ["base", "adapter"])
@pytest.mark.parametrize(("text", "expected"), THOUGHTFUL)
def test_thought_that_a_prompt_opens_is_no_answer(job, tiny_model, text, expected, trained):
    params = told({"type": "hf"}, GREEDY, template="{{ input }}\n<think>\n", prompt_format="plain")
    settings = PredictSettings.model_validate(params | {"prompting": {"type": "zero_shot"}})
    model = {name: str(tiny_model / file) for name, file in MODEL_FILES.items()}
    adapter = str(tiny_model / "model.safetensors") if trained == "adapter" else None
    files = job.files._replace(model=ModelFiles(**model, adapter=adapter))
    thoughtful = job._replace(settings=settings, engine=settings.model.engine, files=files)
    predict(thoughtful, 0, opened([], text=text))
    rows = read_records("a.jsonl", Prediction)
    assert {(row.prediction, row.thoughts) for row in rows} == {expected[trained]}
    # On another data set, the answers are taken over as they are.
    known = files._replace(predictions="b.jsonl", manifest="b.json", known="a.jsonl")
    predict(thoughtful._replace(files=known), 0, lambda engine, model: pytest.fail("opened"))
    assert Path("b.jsonl").read_text() == Path("a.jsonl").read_text()
    lost = {"answers": 3, "empty": 3 * (not expected[trained][0])}
    for manifest in ("a.json", "b.json"):
        assert json.loads(Path(manifest).read_text()).get("thoughts") == (lost if expected[trained][1] else None)


def test_marks_of_thoughts_are_a_setting(job):
    settings = PredictSettings.model_validate(job.settings.model_dump() | {"decoding": GREEDY | {"thought_marks": [["(", ")"]]}})
    predict(job._replace(settings=settings), 0, opened([], text="(hm) <think>18"))
    assert {(row.prediction, row.thoughts) for row in read_records("a.jsonl", Prediction)} == {("<think>18", "hm")}
