"""Prediction jobs of several runs that are asked together."""

import copy
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from loragrid.data.render import Rendered, make_renderer
from loragrid.errors import UserError
from loragrid.inference.engine import ModelToAsk, open_engine
from loragrid.inference.engines.hf import HfEngine
from loragrid.inference.generation import generate_together
from loragrid.inference.job import PredictFiles, PredictJob, predict
from loragrid.inference.kept_engines import kept_engines
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.protocol import Decoding, generate, pose
from loragrid.inference.settings import PredictSettings
from loragrid.inference.together import gains_together, may_share, predict_together
from loragrid.models.loading import load_base_model
from loragrid.records import write_records
from loragrid.training.methods import LoraTraining, PromptTuning
from recordings import record_on_cpu
from stand_ins import varlen_on_cpu

HF, GAINS_TOGETHER = HfEngine(type="hf"), HfEngine.gains_together
PLAIN = {
    "first": LoraTraining(rank=4, target_modules=["q_proj", "v_proj"]),
    "second": LoraTraining(rank=8, alpha=32),
    "third": LoraTraining(rank=3, rslora=True, target_modules="all-linear"),
}
OTHERS = {
    "dora": LoraTraining(rank=4, dora=True),
    "prompt": PromptTuning(method="prompt_tuning", virtual_tokens=3),
}
BASE = None


@pytest.fixture(scope="module")
def renderer(tokenizer):
    return make_renderer(tokenizer)


@pytest.fixture(scope="module")
def folders(tiny_model, tmp_path_factory):
    """A folder for each adapter that was trained on the tiny model."""
    folders = {}
    for seed, (name, method) in enumerate((PLAIN | OTHERS).items()):
        adapted = method.make_trainable(load_base_model(tiny_model, "float32"), seed)
        torch.manual_seed(seed)
        for parameter_name, parameter in adapted.named_parameters():
            if "lora_B" in parameter_name:
                torch.nn.init.normal_(parameter, std=0.3)
        folders[name] = tmp_path_factory.mktemp("trained") / name
        adapted.save_pretrained(folders[name])
    return folders


@pytest.fixture
def model_to_ask(tiny_model, folders, renderer):
    def find(name):
        trained = folders[name] / "adapter_model.safetensors" if name else None
        return ModelToAsk("m", tiny_model, trained, renderer, "float32", context_length=512)

    return find


PROMPTS = [Rendered("", [7, 8, 9, 11, 12, *range(20, 20 + n)], [], False) for n in (1, 9, 3, 30)]


def alone(model, prompts, decoding, load=load_base_model):
    with kept_engines(load) as engines, engines(HF, model) as engine:
        return generate(engine.answer, prompts, decoding)


def together(models, prompts, decoding, load=load_base_model):
    """The answers of each model, and all of them by the question's index."""
    asked = [(question, place) for place in range(len(models)) for question in pose(prompts, decoding)]
    with kept_engines(load) as engines, engines.together(HF, models) as opened:
        answers = {}
        for new in opened.ask(asked, decoding, ()):
            answers |= new
    found = iter(answers[i] for i in range(len(asked)))
    return [[[next(found) for _ in range(decoding.samples)] for _ in prompts] for _ in models], answers


def ids(answers):
    return [[one.token_ids for one in of_prompt] for of_prompt in answers]


@contextmanager
def recorded(monkeypatch):
    """Steps are recorded as on a GPU."""
    monkeypatch.setattr("loragrid.inference.generation.recorder_of", lambda model: record_on_cpu)
    with varlen_on_cpu():
        yield


DECODINGS = {
    "greedy": Decoding(14),
    "drawn": Decoding(14, temperature=1.0, top_k=50, samples=2),
    "penalty": Decoding(14, repetition_penalty=1.6, min_new_tokens=3),
}


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("on_gpu", [False, True], ids=["on a CPU", "recorded"])
def test_adapters_answer_in_one_batch_what_each_answers_alone(model_to_ask, decoding, on_gpu, monkeypatch):
    models, how = [model_to_ask(name) for name in (BASE, *PLAIN)], DECODINGS[decoding]
    expected = [ids(alone(model, PROMPTS, how)) for model in models]
    assert len({str(of_model) for of_model in expected}) == len(models)
    if on_gpu:
        with recorded(monkeypatch):
            found, answers = together(models, PROMPTS, how)
    else:
        found, answers = together(models, PROMPTS, how)
    assert [ids(of_model) for of_model in found] == expected
    assert {one.batch_size for one in answers.values()} == {len(models) * len(PROMPTS) * how.samples}


def test_answers_end_at_their_own_stop_texts_and_finished_rows_leave(model_to_ask, monkeypatch, tokenizer):
    models = [model_to_ask(name) for name in (BASE, *PLAIN)]
    free = [alone(model, PROMPTS, Decoding(40)) for model in models]
    # The base model's answers, which come first in a batch, end early; so does one of each adapter.
    early = [*((of_prompt[0], 2 + i) for i, of_prompt in enumerate(free[0])), *((of_model[1][0], 6) for of_model in free[1:])]
    stops = [tokenizer.decode(answer.token_ids[at : at + 2]).strip() for answer, at in early]
    decoding = Decoding(40, stop=[stop for stop in stops if stop])
    expected = [ids(alone(model, PROMPTS, decoding)) for model in models]
    lengths = [len(one) for of_model in expected for of_prompt in of_model for one in of_prompt]
    assert len(set(lengths)) > 3
    assert 4 < sum(length < 20 for length in lengths) < 12
    assert [ids(of_model) for of_model in together(models, PROMPTS, decoding)[0]] == expected
    monkeypatch.setattr("loragrid.inference.recorded_steps._WORTH_DROPPING", 4)
    with recorded(monkeypatch):
        assert [ids(of_model) for of_model in together(models, PROMPTS, decoding)[0]] == expected


def test_each_model_that_is_opened_with_others_is_an_engine_of_its_own(model_to_ask):
    models = [model_to_ask(name) for name in (BASE, "second")]
    with kept_engines(load_base_model) as engines, engines.together(HF, models) as opened:
        for model, engine in zip(models, opened.engines, strict=True):
            with HF.open(model) as own:
                # Those opened together share batches of questions, and measure nothing.
                assert engine._replace(answer=None) == own._replace(answer=None, measure=None)
                expected = generate(own.answer, PROMPTS, Decoding(5))
            assert ids(generate(engine.answer, PROMPTS, Decoding(5))) == ids(expected)


def test_what_shares_no_batch_says_why(model_to_ask, folders, tmp_path):
    shutil.copytree(folders["first"], tmp_path / "damaged")
    (tmp_path / "damaged" / "adapter_model.safetensors").write_bytes(b"nothing")
    damaged = model_to_ask("first")._replace(trained=tmp_path / "damaged" / "adapter_model.safetensors")
    whole = model_to_ask("first")._replace(trained=tmp_path / "model.safetensors")
    models = [model_to_ask("first"), model_to_ask("dora"), model_to_ask("prompt"), whole, damaged]
    with kept_engines(load_base_model) as engines, engines.together(HF, models) as opened:
        first, *others = opened.engines
        assert ids(generate(first.answer, PROMPTS, Decoding(5))) == ids(alone(models[0], PROMPTS, Decoding(5)))
    assert "in another way than plain LoRA" in others[0]
    assert others[1:3] == ["only adapters of LoRA share forward passes", "it was fine-tuned as a whole"]
    assert "damaged" in others[3]


def test_adapters_of_a_real_model_answer_together_what_they_answer_alone(smollm2, make_prompts, tmp_path):
    base = load_base_model(smollm2, "float32")

    def load(*_):
        return copy.deepcopy(base)

    models = [ModelToAsk("m", smollm2, None, make_prompts.renderer, "float32", context_length=512)]
    for seed in range(2):
        adapted = LoraTraining(rank=4 + 4 * seed).make_trainable(load(), seed)
        torch.manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
        adapted.save_pretrained(tmp_path / str(seed))
        models.append(models[0]._replace(trained=tmp_path / str(seed) / "adapter_model.safetensors"))
    prompts = make_prompts("What is ice?", "Name a colour. " * 9, "How many legs has a spider?")
    expected = [ids(alone(model, prompts, Decoding(8), load)) for model in models]
    assert len({str(of_model) for of_model in expected}) == 3
    assert [ids(of_model) for of_model in together(models, prompts, Decoding(8), load)[0]] == expected


# Jobs.

MODEL = {"dtype": "float32", "prompt_format": "auto", "system_prompt": None, "engine": {"type": "hf"}, "context_length": None}
TOLD = {
    "version": 2,
    "axes": {"task": "t", "sample_type": "s", "base_model": "m", "run": "r", "nb_samples": 4},
    "model": MODEL,
    "quantization": "none",
    "prompting": {"type": "zero_shot"},
    "instruction": None,
    "decoding": {"max_new_tokens": 8},
    "subset": None,
}
STATES = Path("results/.state/predictions")


@pytest.fixture
def make_job(tiny_model, folders, tmp_path, monkeypatch, make_example, renderer):
    """A prediction job of an adapter; each has a test set of its own. All are computed as if several gained by it."""
    monkeypatch.chdir(tmp_path)
    # Reading the tokenizer takes longest.
    monkeypatch.setattr("loragrid.inference.prompts.load_renderer", lambda *args: renderer)
    monkeypatch.setattr(HfEngine, "gains_together", lambda self: True)

    def make(name, examples=3, adapter=None, **told):
        settings = PredictSettings.model_validate(TOLD | told)
        test = f"{name}.test.jsonl"
        write_records(test, [make_example(f"{name} {i}", input="why " * (1 + 7 * i)) for i in range(examples)])
        of_base = [str(tiny_model / file) for file in ("model.safetensors", "config.json", "tokenizer.json")]
        trained = adapter or folders.get(name)
        of_adapter = [f"{trained}/adapter_model.safetensors", f"{trained}/adapter_config.json"] if trained else []
        files = PredictFiles(f"p/{name}.jsonl", f"p/{name}.manifest.json", test, ModelFiles(*of_base, *of_adapter))
        return PredictJob("m", settings, settings.model.engine, files, 1)

    return make


def rows(job):
    """What a job has predicted, but for its seconds and the size of its batches."""
    left_out = ("queue_s", "compute_s", "runtime_s", "batch_size")
    of_file = (json.loads(line) for line in Path(job.files.predictions).read_text().splitlines())
    return [{key: value for key, value in row.items() if key not in left_out} for row in of_file]


def manifest(job):
    return json.loads(Path(job.files.manifest).read_text())


def made_alone(jobs):
    """What jobs predict one after another; their files are gone afterwards."""
    found = {}
    for job in jobs:
        predict(job, 0, open_engine)
        found[job.files.predictions] = rows(job), manifest(job)
    shutil.rmtree("p")
    return found


def run_together(jobs):
    """Make predictions of jobs together. Gives what was told of each, by its file."""
    told = {}
    with kept_engines(load_base_model) as engines:
        predict_together(jobs, engines, lambda job, error: told.setdefault(job.files.predictions, error))
    return told


VARYING = {"wall_time_s", "peak_memory_mb", "generation_s"}


def test_jobs_made_together_write_what_each_writes_alone_and_keep_their_own_accounts(make_job, caplog):
    jobs = [make_job("base"), *(make_job(name, examples) for examples, name in enumerate(PLAIN, 1))]
    expected = made_alone(jobs)
    with caplog.at_level("INFO", "loragrid"):
        assert run_together(jobs) == {job.files.predictions: None for job in jobs}
    assert "4 jobs are asked together: p/base.jsonl, p/first.jsonl, p/second.jsonl, p/third.jsonl" in caplog.text
    for job in jobs:
        of_rows, of_manifest = expected[job.files.predictions]
        assert rows(job) == of_rows
        found = manifest(job)
        hashes = found.pop("sha256"), of_manifest.pop("sha256")
        assert hashes[0].keys() == hashes[1].keys()
        assert {k: v for k, v in found.items() if k not in VARYING} == {k: v for k, v in of_manifest.items() if k not in VARYING}
        of_file = [json.loads(line) for line in Path(job.files.predictions).read_text().splitlines()]
        assert {row["batch_size"] for row in of_file} == {3 + 1 + 2 + 3}
        assert found["generation_s"] == pytest.approx(sum(row["runtime_s"] for row in of_file), abs=0.001)
    # The batch's seconds are shared out, so that nothing is counted twice.
    shares = [manifest(job)["generation_s"] / len(rows(job)) for job in jobs]
    assert max(shares) == pytest.approx(min(shares), abs=0.001)
    assert not list(STATES.iterdir())


def test_jobs_that_were_interrupted_together_go_on_alone_or_together(make_job, monkeypatch):
    jobs = [make_job(name) for name in PLAIN]
    expected = made_alone(jobs)
    small = [job._replace(engine=HfEngine(type="hf", batch_tokens=200)) for job in jobs]
    asked = []

    def dies(*args, **more):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(args)
        return generate_together(*args, **more)

    monkeypatch.setattr("loragrid.inference.batching.generate_together", dies)
    with pytest.raises(KeyboardInterrupt):
        run_together(small)
    kept = sum(len(journal.read_text().splitlines()) for journal in STATES.glob("*.jsonl"))
    assert 0 < kept < 9
    assert not Path("p").exists()
    monkeypatch.setattr("loragrid.inference.batching.generate_together", generate_together)
    predict(small[1], 0, open_engine)
    assert run_together([small[0], small[2]]) == {small[i].files.predictions: None for i in (0, 2)}
    assert {job.files.predictions: rows(job) for job in small} == {name: found for name, (found, _) in expected.items()}
    assert not list(STATES.iterdir())


def test_job_that_cannot_be_done_fails_alone(make_job, make_example, tmp_path, folders, caplog):
    shutil.copytree(folders["second"], "damaged")
    Path("damaged/adapter_model.safetensors").write_bytes(b"nothing")
    Path("damaged/adapter_config.json").write_text("{")
    jobs = [make_job(name) for name in PLAIN] + [make_job("fourth", adapter="damaged"), make_job("dora"), make_job("long")]
    expected = made_alone([job for job in jobs if job.files.predictions not in ("p/fourth.jsonl", "p/long.jsonl")])
    write_records("long.test.jsonl", [make_example("long", instruction="word " * 600)])
    with caplog.at_level("INFO", "loragrid"):
        told = run_together(jobs)
    assert isinstance(told.pop("p/fourth.jsonl"), UserError)
    assert "does not fit into the model's context" in str(told.pop("p/long.jsonl"))
    assert told == dict.fromkeys(expected)
    assert "p/dora.jsonl is answered by itself: the adapter changes" in caplog.text
    assert "3 jobs are asked together" in caplog.text
    assert {name: rows(job) for job in jobs if (name := job.files.predictions) in expected} == {
        name: found for name, (found, _) in expected.items()
    }


def test_so_many_ranks_are_asked_at_the_same_time(make_job, monkeypatch, caplog):
    monkeypatch.setattr("loragrid.inference.together.MOST_RANKS", 12)
    jobs = [make_job(name) for name in ("base", *PLAIN)]
    with caplog.at_level("INFO", "loragrid"):
        assert run_together(jobs) == {job.files.predictions: None for job in jobs}
    assert "3 jobs are asked together: p/base.jsonl, p/first.jsonl, p/second.jsonl" in caplog.text
    sizes = [{json.loads(line)["batch_size"] for line in Path(job.files.predictions).read_text().splitlines()} for job in jobs]
    assert sizes == [{9}, {9}, {9}, {3}]


def test_where_asking_together_fails_each_job_goes_on_by_itself(make_job, monkeypatch, caplog):
    jobs = [make_job(name) for name in PLAIN]
    expected = made_alone(jobs)
    batches = []

    def full(model, prompts, *args):
        batches.append(len(prompts))
        if len(prompts) > 3 or (len(batches) > 2 and len(prompts) > 2):
            raise ZeroDivisionError("a fault")
        return generate_together(model, prompts, *args)

    monkeypatch.setattr("loragrid.inference.batching.generate_together", full)
    with caplog.at_level("INFO", "loragrid"):
        told = run_together(jobs)
    assert "3 jobs cannot be asked together; each goes on by itself: a fault" in caplog.text
    assert [str(error) for error in told.values()] == ["None", "a fault", "a fault"]
    assert rows(jobs[0]) == expected["p/first.jsonl"][0]


def test_on_a_cpu_jobs_are_done_one_after_another(make_job, monkeypatch):
    jobs = [make_job(name) for name in PLAIN]
    expected = made_alone(jobs)
    monkeypatch.setattr(HfEngine, "gains_together", GAINS_TOGETHER)
    monkeypatch.setattr(HfEngine, "open_together", lambda *args: pytest.fail("together"))
    assert run_together(jobs) == dict.fromkeys(expected)
    for job in jobs:
        assert rows(job) == expected[job.files.predictions][0]
        assert {json.loads(line)["batch_size"] for line in Path(job.files.predictions).read_text().splitlines()} == {3}


def test_jobs_share_batches_only_if_they_ask_the_same_model_in_the_same_way(make_job):
    one = make_job("first")
    assert may_share(one, make_job("second", decoding={"max_new_tokens": 8, "seed": 3, "samples": 1}))
    assert may_share(one, make_job("base", prompting={"type": "few_shot", "k": 2, "seed": 0}, instruction="other"))
    assert gains_together(one)
    others = [
        make_job("second", decoding={"max_new_tokens": 9}),
        make_job("second", quantization="8bit"),
        make_job("second", model=MODEL | {"dtype": "bfloat16"}),
        one._replace(base_model="another"),
        one._replace(threads=2),
        one._replace(engine=HfEngine(type="hf", batch_tokens=3)),
        one._replace(files=one.files._replace(model=one.files.model._replace(adapter="run/model.safetensors"))),
    ]
    assert not any(may_share(one, other) or may_share(other, one) for other in others)
    timed = make_job("first", decoding={"max_new_tokens": 8, "latency": True})
    assert not may_share(timed, timed)
    served = one._replace(settings=PredictSettings.model_validate(TOLD | {"model": MODEL | {"engine": {"type": "openai"}}}))
    assert not gains_together(served._replace(engine=served.settings.model.engine))
