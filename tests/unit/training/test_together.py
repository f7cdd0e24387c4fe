"""Trainings that share their optimiser steps have the results of trainings alone."""

import json
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from loragrid.errors import StoppedError
from loragrid.records import Example
from loragrid.training.job import run_training
from loragrid.training.shared_steps import compute
from loragrid.training.together import Claimed, train_together
from trainings import Trainings, adapter_bytes, changed, course

KEYS = {"dropout": 0.0, "together": "on", "epochs": 2}
RUNS = {
    "plain": {"rank": 2, "epochs": 3},
    "more": {"batch_size": 2, "rank": 4, "schedule": "constant", "epochs": 1},
    "scaled": {"rslora": True, "rank": 6, "max_grad_norm": 0.05, "target_modules": ["q_proj", "down_proj"], "weight_decay": 0.1},
    "best": {"keep": "best", "patience": 1, "learning_rate": 0.3, "epochs": 4, "validate_every": 1},
    "rows": {"micro_batch_tokens": 64, "batch_size": 6, "max_grad_norm": None, "warmup_ratio": 0.3},
}


@pytest.fixture(scope="module")
def all_alone(tiny_model, tokenizer, tmp_path_factory):
    """Gives the folder of what a run has learnt alone. It is trained once for all tests."""

    def example(name, **fields):
        return Example(id=name, task="t", sample_type="s", instruction="Answer.", **fields)

    make, made = Trainings(tmp_path_factory.mktemp("alone"), tiny_model, tokenizer, example), {}

    def alone(job):
        keys = json.dumps([job.settings.config.model_dump(), job.settings.seeds.model_dump()])
        if keys not in made:
            folder = str(make.folder / str(len(made)))
            made[keys] = changed(job, folder=folder, state=f"{folder}-state", checkpoint_minutes=60)
            run_training(made[keys], None)
        return made[keys]

    return alone


@pytest.fixture
def make_jobs(make_job):
    """Gives jobs of runs, each with its own name, order of examples and initialisation."""

    def make(runs, **keys):
        jobs = []
        for seed, (name, more) in enumerate(runs.items(), 1):
            job = make_job(name, **KEYS | more | keys)
            seeds = job.settings.seeds.model_copy(update={"adapter_init": seed, "data_order": seed})
            jobs.append(changed(job, {"run": job.settings.run._replace(config=name), "seeds": seeds}))
        return jobs

    return make


def trained(jobs):
    """What became of each training, in steps that all share."""
    waiting, ended = [Claimed(job) for job in jobs], []
    train_together(lambda: waiting.pop(0) if waiting else None, lambda claimed, error: ended.append((claimed.job, error)))
    assert sorted(job.folder for job, _ in ended) == sorted(job.folder for job in jobs)
    return {Path(job.folder).name: error for job, error in ended}


def assert_same_result(found, expected):
    pd.testing.assert_frame_equal(course(found), course(expected), rtol=1e-3)
    mine, its = (load_file(f"{job.folder}/adapter_model.safetensors") for job in (found, expected))
    assert mine.keys() == its.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], its[name], rtol=1e-3, atol=2e-4, msg=name)
    configs = [Path(job.folder, "adapter_config.json").read_bytes() for job in (found, expected)]
    assert configs[0] == configs[1]


def test_runs_in_shared_steps_learn_what_they_learn_alone(make_jobs, all_alone, caplog):
    jobs = make_jobs(RUNS)
    names = [job.settings.run.name for job in jobs]
    with caplog.at_level("INFO", logger="loragrid"):
        assert trained(jobs) == dict.fromkeys(RUNS)
    assert f"{names[1]}: shares its steps; 2 runs do" in caplog.messages
    # It joins when the second has left, and needs more room than that had.
    assert f"{names[2]}: shares its steps; 2 runs do" in caplog.messages
    assert any(message.startswith(f"{names[3]}: stopped early after step") for message in caplog.messages)
    for job in jobs:
        assert_same_result(job, all_alone(job))
        assert not list(Path(job.state).iterdir())


def stop_after(monkeypatch, module, calls):
    """Let a signal seem to have come after a module has asked so often."""

    @contextmanager
    def signals():
        asked = []
        yield lambda: asked.append(1) or ("SIGTERM" if len(asked) > calls else "")

    monkeypatch.setattr(f"loragrid.training.{module}.postponed_signals", signals)


TWO = {"one": {}, "two": {"rank": 2, "batch_size": 3, "keep": "best"}}


@pytest.mark.parametrize("first", ["alone", "together"])
def test_interrupted_runs_go_on_alone_and_together(make_jobs, all_alone, monkeypatch, first):
    jobs = make_jobs(TWO)
    with monkeypatch.context() as patched:
        stop_after(patched, "together" if first == "together" else "job", 9 if first == "together" else 2)
        if first == "together":
            ended = trained([*jobs, *make_jobs({"drops": {"dropout": 0.1}})])
            assert all(isinstance(error, StoppedError) for error in ended.values())
            assert str(ended["drops"]) == "stopped by SIGTERM before it began."
        for job in jobs if first == "alone" else []:
            with pytest.raises(StoppedError, match="stopped by SIGTERM after step 3 of 6"):
                run_training(job, None)
    assert all(list(Path(job.state).glob("*/checkpoint.safetensors")) for job in jobs)
    if first == "alone":
        assert trained(jobs) == {"one": None, "two": None}
    else:
        for job in jobs:
            run_training(job, None)
    for job in jobs:
        assert_same_result(job, all_alone(job))


def test_a_run_that_fails_leaves_and_the_others_go_on(make_jobs, all_alone):
    hot = {"rank": 2, "learning_rate": 1e30, "max_grad_norm": None}
    jobs = make_jobs({"one": {}, "two": TWO["two"], "hot": hot, "empty": {"max_length": 8}})
    ended = trained([jobs[i] for i in (2, 0, 3, 1)])
    assert ended["one"] is ended["two"] is None
    assert "is nan at step" in str(ended["hot"]) or "not finite" in str(ended["hot"])
    assert "no target token" in str(ended["empty"])
    assert not Path(jobs[2].folder).exists()
    for job in jobs[:2]:
        assert_same_result(job, all_alone(job))


def test_what_does_not_fit_is_trained_by_itself_and_the_log_says_why(make_jobs, caplog):
    runs = {"one": {}, "two": {}, "drops": {"dropout": 0.1}, "pads": {"packing": "off"}, "never": {"together": "off"}}
    jobs = make_jobs(runs, epochs=0.3)
    with caplog.at_level("INFO", logger="loragrid"):
        assert trained([jobs[i] for i in (2, 0, 3, 1, 4)]) == dict.fromkeys(runs)
    said = {message.partition(": ")[2] for message in caplog.messages if "by itself" in message}
    assert said == {
        "is trained by itself: dropout draws at random for all tokens of a row",
        "is trained by itself: its examples are padded, not packed",
        "is trained by itself: together: off",
    }


def test_the_only_run_has_the_bytes_that_it_has_alone(make_jobs, all_alone, caplog):
    [job] = make_jobs({"one": {}})
    with caplog.at_level("INFO", logger="loragrid"):
        trained([job])
    assert any(message.endswith("no other run is there") for message in caplog.messages)
    assert adapter_bytes(job) == adapter_bytes(all_alone(job))


def test_manifests_hold_a_run_s_own_share_of_seconds_and_a_result_that_is_there_is_taken(make_jobs, monkeypatch):
    jobs = make_jobs(TWO, epochs=0.3)
    started = time.perf_counter()
    trained(jobs)
    took = time.perf_counter() - started
    manifests = [json.loads(Path(job.folder, "manifest.json").read_text()) for job in jobs]
    assert 0.7 * took < sum(manifest["wall_time_s"] for manifest in manifests) <= took
    assert all(0 < manifest["training_s"] <= manifest["wall_time_s"] for manifest in manifests)
    monkeypatch.setattr("loragrid.training.together.make_ready", lambda *_: pytest.fail("trained again"))
    again, ended = [Claimed(job, lambda: True) for job in jobs], []
    train_together(lambda: again.pop(0) if again else None, lambda *told: ended.append(told[1]))
    assert ended == [None, None]


def test_memory_that_runs_out_makes_rows_shorter(make_jobs, all_alone, monkeypatch, caplog):
    jobs, rows = make_jobs(TWO), []

    def short_of_memory(of_each, batches, recorded):
        rows.append(max(batch.input_ids.shape[1] for batch in batches))
        if rows[-1] > 200:
            raise torch.OutOfMemoryError("out of memory")
        return compute(of_each, batches, recorded)

    monkeypatch.setattr("loragrid.training.together.compute", short_of_memory)
    with caplog.at_level("INFO", logger="loragrid"):
        assert trained(jobs) == {"one": None, "two": None}
    assert rows[0] > 200 >= rows[-1]
    assert any("memory runs out in steps of several runs; their rows have" in message for message in caplog.messages)
    for job in jobs:
        assert_same_result(job, all_alone(job))


def test_runs_whose_steps_cannot_be_shared_after_all_have_the_bytes_that_they_have_alone(
    make_jobs, all_alone, monkeypatch, caplog
):
    jobs = make_jobs(TWO)
    monkeypatch.setattr("loragrid.training.together.compute", lambda *_: {}["a layer of another kind"])
    with caplog.at_level("INFO", logger="loragrid"):
        assert trained(jobs) == {"one": None, "two": None}
    assert "steps cannot be shared (KeyError: 'a layer of another kind')" in caplog.messages
    for job in jobs:
        assert adapter_bytes(job) == adapter_bytes(all_alone(job))
