import json
import os
from pathlib import Path

import pytest

from loragrid.planning.history import (
    LOOKED_INTO,
    MB_PER_MIB,
    Recorded,
    answer_lengths,
    on_latest_hardware,
    read_history,
    training_effort,
)

HARDWARE = {"processor": "P", "device": "cpu", "dtype": "float32", "threads": 1}
WILDCARDS = {"base_model": "m", "task": "t", "sample_type": "s", "run": "t__s__mix__n4__lora__completion__seed1"}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_benchmark(rule, wildcards, seconds, at=0, name=None):
    path = Path(f"results/benchmarks/{rule}/{name or wildcards.get('run', 'x')}.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"rule_name": rule, "wildcards": wildcards, "s": seconds, "max_rss": 100.0, "resources": {"mem_mb": 6000}}
    path.write_text(json.dumps(values) + "\n")
    os.utime(path, (at, at))


def write_training(run, **changes):
    manifest = {
        "config": {"epochs": 2.0, "batch_size": 4, "evaluations": 2},
        "examples": {"train": 4, "validation": 3},
        "tokens": 800,
        "training_s": 20.0,
        "hardware": HARDWARE,
        "peak_memory_mb": 300,
    }
    path = Path(f"results/adapters/t/s/m/{run}/manifest.json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest | changes))


def test_training_is_recorded_with_its_start_up_apart_and_the_higher_of_both_peaks():
    write_benchmark("train", WILDCARDS, 30.0)
    write_training(WILDCARDS["run"])
    [record] = read_history()
    assert (record.rule, record.base_model, record.speed_group) == ("train", "m", "lora")
    assert (record.seconds, record.work_s, record.peak_mb, record.asked_mb) == (30.0, 20.0, 300 * MB_PER_MIB, 6000)


def test_memory_of_benchmarks_is_told_in_the_unit_that_jobs_ask_in():
    write_benchmark("tokenise", {}, 30.0)
    [record] = read_history()
    assert record.peak_mb * 1000**2 == pytest.approx(100 * 1024**2)


def test_validated_tokens_count_half():
    manifest = {
        "config": {"epochs": 2.0, "batch_size": 4, "evaluations": 2},
        "examples": {"train": 4, "validation": 3},
        "tokens": 800,
    }
    # 100 tokens an example; 3 examples validated twice.
    assert training_effort(manifest) == 800 + 0.5 * 100 * 3 * 2


def test_training_by_steps_has_met_the_examples_of_its_steps():
    config = {"epochs": 1, "max_steps": 5, "batch_size": 4, "evaluations": 1, "validate_every": 1}
    manifest = {"config": config, "examples": {"train": 100, "validation": 1}, "tokens": 200, "steps": 5}
    assert training_effort(manifest) == 200 + 0.5 * 10 * 1 * 5


def test_prediction_is_recorded_with_the_tokens_of_its_prompts_and_answers():
    write_benchmark("predict", WILDCARDS | {"run": "base", "variant": "~three~x"}, 9.0)
    folder = Path("results/predictions/t/s/m")
    folder.mkdir(parents=True)
    manifest = {"generation_s": 4.0, "hardware": HARDWARE, "peak_memory_mb": 50}
    (folder / "base~three~x.manifest.json").write_text(json.dumps(manifest))
    rows = [{"prompt_tokens": 10, "new_tokens": 4}, {"prompt_tokens": [10, 12], "new_tokens": [3, 5]}]
    (folder / "base~three~x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [record] = read_history()
    assert (record.speed_group, record.work_s, record.effort, record.new_per_answer) == ("t", 4.0, 44, 4.0)
    assert answer_lengths([record]) == {("m", "t"): 4.0}


def test_answers_that_are_taken_over_say_nothing_about_speed():
    write_benchmark("predict", WILDCARDS | {"run": "base"}, 9.0)
    folder = Path("results/predictions/t/s/m")
    folder.mkdir(parents=True)
    manifest = {"generation_s": 0.1, "hardware": HARDWARE, "peak_memory_mb": 50, "taken_over": 1}
    (folder / "base.manifest.json").write_text(json.dumps(manifest))
    (folder / "base.jsonl").write_text(json.dumps({"prompt_tokens": 10, "new_tokens": 4}) + "\n")
    [record] = read_history()
    assert (record.work_s, record.new_per_answer) == (None, 4.0)


def test_benchmarks_that_are_broken_foreign_or_without_result_do_no_harm():
    assert read_history() == []
    folder = Path("results/benchmarks")
    folder.mkdir(parents=True)
    (folder / "empty.jsonl").write_text("")
    (folder / "cut.jsonl").write_text('{"rule_name": "train", "wildc')
    (folder / "foreign.jsonl").write_text('{"s": 1}\n[]\n')
    (folder / "number.jsonl").write_text("1\n")
    write_benchmark("train", WILDCARDS, 30.0)
    [record] = read_history()
    assert (record.seconds, record.work_s) == (30.0, None)


def test_only_results_of_the_latest_jobs_of_a_kind_are_read():
    for i in range(LOOKED_INTO + 5):
        run = f"t__s__mix__n4__lora__completion__seed{i}"
        write_benchmark("train", WILDCARDS | {"run": run}, 30.0, at=i)
        write_training(run)
    history = read_history()
    assert [record.work_s is not None for record in history] == [False] * 5 + [True] * LOOKED_INTO


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_records_of_other_hardware_than_the_latest_do_not_count(dtype):
    def record(hardware):
        return Recorded("train", "m", "lora", 1.0, 0, None, work_s=1.0, hardware=hardware)

    old, new, unknown = record("cpu, float32"), record(f"gpu, {dtype}"), record(None)
    assert on_latest_hardware([old, unknown, new]) == [unknown, new]
    # Another base model may be on other hardware still.
    other = old._replace(base_model="n")
    assert on_latest_hardware([other, new]) == [other, new]
