"""A process that works for many jobs answers and checks as a process of its own would for each."""

import json
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch

from loragrid.data.render import make_renderer
from loragrid.inference.checks import CheckFiles, CheckJob, check_model
from loragrid.inference.engine import open_engine
from loragrid.inference.engines.vllm import VllmEngine
from loragrid.inference.job import PredictFiles, PredictJob, predict
from loragrid.inference.kept_engines import kept_engines
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.protocol import Answer, Engine
from loragrid.inference.settings import CheckSettings, PredictSettings
from loragrid.models.adapters import save_model
from loragrid.models.kept import kept_base
from loragrid.models.loading import load_base_model
from loragrid.records import write_records
from loragrid.training.methods import FullTraining, LoraTraining, PromptTuning

MODEL = {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "engine": {"type": "hf"}, "context_length": None}
TOLD = {"version": 1, "model": MODEL, "quantization": "none"}
ASKED = TOLD | {
    "axes": {"task": "t", "sample_type": "s", "base_model": "m", "run": "r", "nb_samples": 4},
    "prompting": {"type": "zero_shot"},
    "instruction": None,
    "decoding": {"max_new_tokens": 6},
    "subset": None,
}
METHODS = {
    "lora": LoraTraining(rank=4),
    "dora": LoraTraining(rank=4, dora=True),
    "prompt": PromptTuning(method="prompt_tuning", virtual_tokens=3),
    "full": FullTraining(method="full"),
}
SECONDS = ("queue_s", "compute_s", "runtime_s")


def trained(method, model, folder, tokenizer):
    """Train a model a little, and write it."""
    learner = method.make_trainable(model, 1)
    wanted = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(wanted, lr=0.05)
    for _ in range(3):
        ids = torch.arange(5, 25)[None]
        learner(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    if method.makes_whole_model:
        save_model(learner, tokenizer, folder, torch.float32)
        return "model.safetensors", "config.json"
    learner.save_pretrained(folder)
    return "adapter_model.safetensors", "adapter_config.json"


@pytest.fixture(scope="module")
def models(tiny_model, tokenizer, tmp_path_factory):
    """The files of the base model, and of what each method makes of it."""
    base = [str(tiny_model / name) for name in ("model.safetensors", "config.json", "tokenizer.json")]
    files = {"base": ModelFiles(*base)}
    for name, method in METHODS.items():
        folder = tmp_path_factory.mktemp("trained") / name
        written = trained(method, load_base_model(tiny_model, "float32"), folder, tokenizer)
        files[name] = ModelFiles(*base, *(str(folder / file) for file in written))
    return files


@pytest.fixture
def outcome(models, tmp_path, monkeypatch, make_example, tokenizer):
    """What a model answers, and what its check finds. Seconds are left out."""
    monkeypatch.chdir(tmp_path)
    # Reading the tokenizer takes longest.
    monkeypatch.setattr("loragrid.inference.prompts.load_renderer", lambda *args: make_renderer(tokenizer))
    write_records("test.jsonl", [make_example(str(i), input="why " * (1 + 7 * i)) for i in range(3)])

    def find(kind, opener, load):
        asking, checking = (
            PredictSettings.model_validate(ASKED),
            CheckSettings.model_validate(TOLD | {"checks": {"max_new_tokens": 5}}),
        )
        files = PredictFiles("p.jsonl", "p.manifest.json", "test.jsonl", models[kind])
        predict(PredictJob("m", asking, asking.model.engine, files, 1), 0, opener)
        check = CheckFiles("c.json", "test.jsonl", models[kind])
        check_model(CheckJob("m", checking, checking.model.engine, check, 1), opener, load)
        rows = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
        return [{key: value for key, value in row.items() if key not in SECONDS} for row in rows], Path("c.json").read_bytes()

    return find


def test_answers_and_checks_are_those_of_a_process_of_its_own_whatever_was_done_before(
    models, outcome, tiny_model, tokenizer, tmp_path, monkeypatch
):
    loaded = []

    def counted(folder, *args, **more):
        loaded.append(Path(folder).name)
        return load_base_model(folder, *args, **more)

    expected = {kind: outcome(kind, open_engine, load_base_model) for kind in models}
    assert len({str(found) for found in expected.values()}) == len(models)
    monkeypatch.setattr("loragrid.models.kept.load_base_model", counted)
    with kept_base() as load, kept_engines(load) as engines:
        assert {kind: outcome(kind, engines, load) for kind in models} == expected
        trained(METHODS["lora"], load(tiny_model, "float32"), tmp_path / "more", tokenizer)
        assert {kind: outcome(kind, engines, load) for kind in ("lora", "base")} == {
            kind: expected[kind] for kind in ("lora", "base")
        }
    assert loaded == [tiny_model.name]


def test_no_engine_holds_memory_while_another_is_compared_with_it(models, outcome, monkeypatch):
    """What is kept makes way for the model that `hf` loads; that model is not kept."""
    told = TOLD | {"model": MODEL | {"engine": {"type": "vllm"}}, "checks": {}}
    settings, events = CheckSettings.model_validate(told), []

    @contextmanager
    def process():
        yield "process"
        events.append("closed")

    def compare(model, prompts, decoding, load):
        events.append(("hf", load))
        return {}, [Answer("a", [], 1, 9, "length", 0, 0, 0, 1)] * len(prompts)

    def answer(questions, decoding, answered):
        return [{i: Answer("a", [], 1, decoding.max_new_tokens, "length", 0, 0, 0, 1)} for i in range(len(questions))]

    def open_vllm(self, model, kept):
        events.append("vllm")
        return nullcontext(Engine("vllm", "1", answer, "cpu", "float32"))

    monkeypatch.setattr("loragrid.inference.checks.check_with_reference", compare)
    monkeypatch.setattr(VllmEngine, "open_kept", open_vllm)
    with kept_engines(load_base_model) as engines:
        with engines.keep(bool, process):
            pass
        job = CheckJob("m", settings, settings.model.engine, CheckFiles("c.json", "test.jsonl", models["base"]), 1)
        check_model(job, engines, load_base_model)
    assert events == ["closed", ("hf", None), "vllm"]


def test_model_that_was_fine_tuned_as_a_whole_needs_no_base_model(outcome):
    with kept_engines(lambda *_: pytest.fail("loaded")) as engines:
        outcome("full", engines, load_base_model)
