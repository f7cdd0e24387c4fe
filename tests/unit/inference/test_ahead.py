"""Predictions and checks that are made ahead: kept in a folder of their own, from inputs that may lie elsewhere."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loragrid.data.render import make_renderer
from loragrid.errors import UserError
from loragrid.inference.checks import CheckFiles, CheckJob, check_model, evidence_of
from loragrid.inference.job import PredictFiles, PredictJob, predict, predict_claimed
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.protocol import Answer, Engine
from loragrid.inference.settings import CheckSettings, PredictSettings
from loragrid.models.loading import load_base_model
from loragrid.records import write_records
from loragrid.runtime.finished import RECORDS, forget_recorded, record_of
from loragrid.training.methods import LoraTraining

MODEL = {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "engine": {"type": "hf"}, "context_length": None}
TOLD = {
    "version": 2,
    "axes": {"task": "t", "sample_type": "s", "base_model": "m", "run": "r", "nb_samples": 4},
    "model": MODEL,
    "quantization": "none",
    "prompting": {"type": "zero_shot"},
    "instruction": None,
    "decoding": {"max_new_tokens": 4},
    "subset": None,
}
VARYING = ("wall_time_s", "peak_memory_mb", "generation_s")
AHEAD = "results/.state/ahead/predict/1"


@pytest.fixture
def files(tmp_path, monkeypatch, tiny_model, make_example, tokenizer):
    """Test examples, the model, and an adapter with its manifest, below the current folder."""
    monkeypatch.chdir(tmp_path)
    # Reading the tokenizer takes longest.
    monkeypatch.setattr("loragrid.inference.prompts.load_renderer", lambda *args: make_renderer(tokenizer))
    write_records("test.jsonl", [make_example(str(i)) for i in range(3)])
    shutil.copytree(tiny_model, "model")
    LoraTraining().make_trainable(load_base_model(tiny_model, "float32"), 1).save_pretrained("run")
    Path("run/manifest.json").write_text("{}")
    return tmp_path


def model_files(model="model", adapter="run"):
    of_model = (f"{model}/{name}" for name in ("model.safetensors", "config.json", "tokenizer.json"))
    return ModelFiles(*of_model, *(f"{adapter}/{name}" for name in ("adapter_model.safetensors", "adapter_config.json")))


def predict_job(test="test.jsonl", known=None, kept_in=None, **model):
    settings = PredictSettings.model_validate(TOLD)
    files = PredictFiles("p/a.jsonl", "p/a.manifest.json", test, model_files(**model), known=known, kept_in=kept_in)
    return PredictJob("m", settings, settings.model.engine, files, 1)


def opened(asked, died_after=None):
    """Opens an engine that notes what it is asked, and dies after so many answers."""

    def answer(questions, decoding, answered):
        for i, question in enumerate(questions):
            if i not in answered:
                if len(asked) == died_after:
                    raise KeyboardInterrupt
                asked.append(question.prompt.prompt)
                yield {i: Answer(question.prompt.prompt[::-1], [], 1, 1, "stop", 0, 1, 1, 1)}

    return lambda engine, model: contextlib.nullcontext(Engine("e", "5.0", answer, "here", "float32"))


def written(folder):
    """The bytes of the predictions in a folder, and their manifest without what differs from time to time."""
    told = json.loads((Path(folder) / "a.manifest.json").read_text())
    return (Path(folder) / "a.jsonl").read_bytes(), {key: value for key, value in told.items() if key not in VARYING}


def test_predictions_made_ahead_are_those_of_the_job_itself_in_the_folder_for_them(files):
    predict(predict_job(), 0, opened([]))
    in_place = written("p")
    shutil.rmtree("p")
    predict_claimed(predict_job(kept_in=AHEAD), 0, opened([]))
    assert written(AHEAD) == in_place
    assert not Path("p").exists()
    assert not list(Path("results/.state/predictions").iterdir())


def test_nothing_that_is_written_tells_where_an_input_was_read(files):
    predict(predict_job(), 0, opened([]))
    in_place = written("p")
    for name in ("test.jsonl", "model", "run"):
        (Path("results/.state/ahead/elsewhere") / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(name, f"results/.state/ahead/elsewhere/{name}")
    where = "results/.state/ahead/elsewhere"
    predict_claimed(predict_job(f"{where}/test.jsonl", model=f"{where}/model", adapter=f"{where}/run"), 0, opened([]))
    assert written("p") == in_place
    shutil.move("p", f"{where}/p")
    known = f"{where}/p/a.jsonl"
    predict_claimed(predict_job(f"{where}/test.jsonl", known, model=f"{where}/model", adapter=f"{where}/run"), 0)
    assert written("p")[0] == in_place[0]


@pytest.mark.parametrize("ahead_first", [True, False])
def test_unfinished_answers_are_taken_up_ahead_and_by_the_job_itself(files, ahead_first):
    first, second = [], []
    shutil.copytree("run", "trained/elsewhere")
    jobs = [predict_job(kept_in=AHEAD, adapter="trained/elsewhere"), predict_job()]
    one, other = jobs if ahead_first else jobs[::-1]
    with pytest.raises(KeyboardInterrupt):
        predict_claimed(one, 0, opened(first, died_after=2))
    predict_claimed(other, 0, opened(second))
    assert (len(first), len(second)) == (2, 1)


def test_answers_made_ahead_stay_until_snakemake_has_recorded_the_predictions(files):
    """The process may be killed before what it has made ahead is known to be whole."""
    RECORDS.mkdir(parents=True)
    first, second = [], []
    predict_claimed(predict_job(kept_in=AHEAD), 0, opened(first))
    shutil.rmtree(AHEAD)
    predict(predict_job(), 0, opened(second))
    assert (len(first), len(second)) == (3, 0)
    predict_claimed(predict_job(kept_in=AHEAD), 0, opened([]))
    record_of("p/a.jsonl").write_text("{}")
    forget_recorded()
    assert not list(Path("results/.state/predictions").iterdir())


def check_job(kept_in=None, adapter="run", **checks):
    settings = CheckSettings.model_validate(
        {name: TOLD[name] for name in ("version", "model", "quantization")} | {"checks": checks}
    )
    files = CheckFiles("checks/a.json", "test.jsonl", model_files(adapter=adapter), kept_in)
    return CheckJob("m", settings, settings.model.engine, files, 1)


def differing(monkeypatch, passed):
    monkeypatch.setattr("loragrid.inference.checks.differs_from_base", lambda *args: {"passed": passed, "evidence": []})


def test_check_made_ahead_is_that_of_the_job_itself_in_the_folder_for_it(files, monkeypatch):
    differing(monkeypatch, True)
    check_model(check_job())
    shutil.copytree("run", "trained/elsewhere")
    check_model(check_job("ahead/1", "trained/elsewhere"))
    assert Path("ahead/1/a.json").read_bytes() == Path("checks/a.json").read_bytes()


def test_check_that_fails_ahead_leaves_nothing_and_that_of_the_job_itself_tells(files, monkeypatch):
    differing(monkeypatch, False)
    with pytest.raises(UserError, match=r"^checks/a\.json: the model does not pass: differs from base\.$"):
        check_model(check_job("ahead/1"))
    assert not Path("checks").exists()
    assert not Path("ahead").exists()
    with pytest.raises(UserError, match=r"the evidence is in checks/a\.failed\.json"):
        check_model(check_job())
    # A check that passes ahead touches nothing in the place of the job itself.
    differing(monkeypatch, True)
    check_model(check_job("ahead/1"))
    assert evidence_of("checks/a.json").exists()
    check_model(check_job())
    assert not evidence_of("checks/a.json").exists()


def test_base_model_for_the_comparison_can_be_handed_in(files, monkeypatch):
    differing(monkeypatch, True)
    loaded = []

    def load(folder, dtype, quantization, device):
        loaded.append((str(folder), dtype, quantization, device))
        return load_base_model(folder, dtype, quantization, device)

    check_model(check_job(), load=load)
    assert loaded == [("model", "float32", "none", None)]


def test_jobs_are_known_before_anything_heavy_is_imported():
    code = (
        "import loragrid.inference.job, loragrid.inference.checks, sys; print({'torch', 'transformers', 'peft'} & {*sys.modules})"
    )
    folder = Path(__file__).parents[3] / "workflow" / "scripts"
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "set()\n"
