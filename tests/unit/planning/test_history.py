import json
import os

import pytest

from loragrid.planning.history import LOOKED_INTO, Recorded, answer_lengths, on_latest_hardware, read_history, training_effort

HARDWARE = {"processor": "P", "device": "cpu", "dtype": "float32", "threads": 1}
WILDCARDS = {"base_model": "m", "task": "t", "sample_type": "s", "run": "t__s__mix__n4__lora__completion__seed1"}


def write_benchmark(results, rule, wildcards, seconds, at=0, name=None):
    path = results / f"benchmarks/{rule}/{name or wildcards.get('run', 'x')}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    values = {"rule_name": rule, "wildcards": wildcards, "s": seconds, "max_rss": 100.0, "resources": {"mem_mb": 6000}}
    path.write_text(json.dumps(values) + "\n")
    os.utime(path, (at, at))


def write_training(results, run, **changes):
    manifest = {
        "config": {"epochs": 2.0, "batch_size": 4, "evaluations": 2},
        "examples": {"train": 4, "validation": 3},
        "tokens": 800,
        "training_s": 20.0,
        "hardware": HARDWARE,
        "peak_memory_mb": 300,
    }
    path = results / f"adapters/t/s/m/{run}/manifest.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(manifest | changes))


def test_training_is_recorded_with_its_start_up_apart_and_the_higher_of_both_peaks(tmp_path):
    write_benchmark(tmp_path, "train", WILDCARDS, 30.0)
    write_training(tmp_path, WILDCARDS["run"])
    [one] = read_history(tmp_path)
    assert (one.rule, one.base_model, one.kind) == ("train", "m", "lora")
    assert (one.seconds, one.work_s, one.peak_mb, one.asked_mb) == (30.0, 20.0, 300, 6000)


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


def test_prediction_is_recorded_with_the_tokens_of_its_prompts_and_answers(tmp_path):
    write_benchmark(tmp_path, "predict", WILDCARDS | {"run": "base", "variant": "~three~x"}, 9.0)
    folder = tmp_path / "predictions/t/s/m"
    folder.mkdir(parents=True)
    manifest = {"generation_s": 4.0, "hardware": HARDWARE, "peak_memory_mb": 50}
    (folder / "base~three~x.manifest.json").write_text(json.dumps(manifest))
    rows = [{"prompt_tokens": 10, "new_tokens": 4}, {"prompt_tokens": [10, 12], "new_tokens": [3, 5]}]
    (folder / "base~three~x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [one] = read_history(tmp_path)
    assert (one.kind, one.work_s, one.effort, one.new_per_answer) == ("t", 4.0, 44, 4.0)
    assert answer_lengths([one]) == {("m", "t"): 4.0}


def test_answers_that_are_taken_over_say_nothing_about_speed(tmp_path):
    write_benchmark(tmp_path, "predict", WILDCARDS | {"run": "base"}, 9.0)
    folder = tmp_path / "predictions/t/s/m"
    folder.mkdir(parents=True)
    manifest = {"generation_s": 0.1, "hardware": HARDWARE, "peak_memory_mb": 50, "taken_over": 1}
    (folder / "base.manifest.json").write_text(json.dumps(manifest))
    (folder / "base.jsonl").write_text(json.dumps({"prompt_tokens": 10, "new_tokens": 4}) + "\n")
    [one] = read_history(tmp_path)
    assert (one.work_s, one.new_per_answer) == (None, 4.0)


def test_benchmarks_that_are_broken_foreign_or_without_result_do_no_harm(tmp_path):
    assert read_history(tmp_path) == []
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "empty.jsonl").write_text("")
    (folder / "cut.jsonl").write_text('{"rule_name": "train", "wildc')
    (folder / "foreign.jsonl").write_text('{"s": 1}\n[]\n')
    (folder / "number.jsonl").write_text("1\n")
    write_benchmark(tmp_path, "train", WILDCARDS, 30.0)
    [one] = read_history(tmp_path)
    assert (one.seconds, one.work_s) == (30.0, None)


def test_only_results_of_the_latest_jobs_of_a_kind_are_read(tmp_path):
    for i in range(LOOKED_INTO + 5):
        run = f"t__s__mix__n4__lora__completion__seed{i}"
        write_benchmark(tmp_path, "train", WILDCARDS | {"run": run}, 30.0, at=i)
        write_training(tmp_path, run)
    history = read_history(tmp_path)
    assert [one.work_s is not None for one in history] == [False] * 5 + [True] * LOOKED_INTO


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_records_of_other_hardware_than_the_latest_do_not_count(dtype):
    def record(hardware):
        return Recorded("train", "m", "lora", 1.0, 0, None, work_s=1.0, hardware=hardware)

    old, new, unknown = record("cpu, float32"), record(f"gpu, {dtype}"), record(None)
    assert on_latest_hardware([old, unknown, new]) == [unknown, new]
    # Another base model may be on other hardware still.
    other = old._replace(base_model="n")
    assert on_latest_hardware([other, new]) == [other, new]
