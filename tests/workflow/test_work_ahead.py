"""A process that has loaded a model does the work of other jobs, and nothing but the time that a grid takes changes."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from projects import make_tiny_project

ALONE = ["--set-resources", *(f"{rule}:jobs_per_process=1" for rule in ("train", "check", "predict", "score"))]
"""Each process works for its own job only."""
TAKE = """
import sys
from pathlib import Path
from loragrid.ahead.own import work_on
from loragrid.ahead.plan import Plan
config, plan, log = sys.argv[1:]
import yaml
[told] = [job for job in Plan(Path(plan), base_model="tiny").jobs if job.log == log]
work_on(told, yaml.safe_load(Path(config).read_text()), sys.stderr)
heavy = {"torch", "transformers", "peft", "pandas", "datasets", "accelerate"} & sys.modules.keys()
assert not heavy, heavy
"""
"""The work of a job, which has been done for it: nothing heavy may be imported."""
TIMES = {"queue_s": 0, "compute_s": 0, "runtime_s": 0}


@pytest.fixture(scope="module")
def together(tmp_path_factory, tiny_model):
    """The adapters, checks and predictions of a grid, made on one core: by one process, as far as one process may."""
    project = make_tiny_project(tmp_path_factory.mktemp("ahead") / "project", tiny_model)
    project.arguments = ["--cores", "1"]
    project.snakemake("mixes")
    result = project.snakemake("adapters", "checks", "predictions")
    project.said = result.stdout + result.stderr
    return project


@pytest.fixture
def copied(together, tmp_path):
    """The same, for a test that changes it."""
    folder = tmp_path / "project"
    shutil.copytree(together.folder, folder, symlinks=True)
    return type(together)(folder, together.arguments)


def logs(project):
    return {
        path.relative_to(project.folder / "results/logs").as_posix(): path.read_text() for path in project.files("logs/**/*.log")
    }


def worked(project):
    """The logs of jobs that have computed with the model, and of those whose work another job did."""
    of_model = {name: text for name, text in logs(project).items() if name.startswith(("adapters/", "checks/", "predictions/"))}
    collected = {name for name, text in of_model.items() if "this was done ahead" in text}
    return of_model.keys() - collected, collected


def contents(project):
    """What is compared of all results: adapters byte by byte, answers without times, checks."""
    adapters = {path: path.read_bytes() for path in project.files("adapters/**/adapter_*")}
    answers = {
        path: [json.loads(line) | TIMES for line in path.read_text().splitlines()]
        for path in project.files("predictions/**/*.jsonl")
    }
    checks = {path: path.read_text() for path in project.files("checks/**/*.json")}
    return {path.relative_to(project.folder): value for path, value in (adapters | answers | checks).items()}


def test_one_process_does_the_work_of_the_whole_grid(together):
    computed, collected = worked(together)
    assert len(computed) == 1
    assert len(collected) == 14
    [log] = computed
    assert "work of 14 other jobs is done" in logs(together)[log]
    assert together.said.count("done ahead: ") == 14
    assert together.planned("adapters", "checks", "predictions") == {}


def test_results_are_the_same_as_those_of_jobs_that_work_for_themselves(together, tmp_path, tiny_model):
    alone = make_tiny_project(tmp_path / "alone", tiny_model)
    alone.arguments = ["--cores", "1"]
    alone.snakemake("adapters", "checks", "predictions", *ALONE)
    assert worked(alone)[1] == set()
    assert contents(alone) == contents(together)


def test_nothing_waits_once_all_jobs_have_taken_what_is_theirs(together):
    assert [path.name for path in together.files(".state/ahead/*/*")] == []
    assert [path.name for path in together.files(".state/ahead/plan-*")] == []
    assert together.files(".state/locks/*") == []


def test_log_of_a_job_has_the_lines_of_its_work_and_says_who_did_it(together):
    trained = [text for name, text in logs(together).items() if name.startswith("adapters/") and "done ahead" in text]
    assert len(trained) >= 3
    for text in trained:
        said = re.search(
            r"this was done ahead, in [\d.]+ s, by process \d+ on \S+, which was started for: .+ \(log: (\S+)\)", text
        )
        assert (together.folder / said[1]).exists()
        assert "training loss" in text


def test_manifests_and_benchmarks_hold_the_share_of_the_job(together):
    for manifest in together.files("adapters/**/manifest.json"):
        told = json.loads(manifest.read_text())
        benchmark = together.folder / f"results/benchmarks/{manifest.parent.relative_to(together.folder / 'results')}.jsonl"
        measured = json.loads(benchmark.read_text())
        assert told["training_s"] <= told["wall_time_s"] <= measured["s"] + 0.01
        assert measured["max_rss"] > 0
    work = sum(json.loads(path.read_text())["wall_time_s"] for path in together.files("adapters/**/manifest.json"))
    log = next(text for name, text in logs(together).items() if "other jobs is done" in text)
    assert work < float(re.findall(r"done after ([\d.]+) s", log)[-1])


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        ("predictions/shout/gold/tiny/base.jsonl", "predictions", {"predict": 1, "predictions": 1}),
        ("adapters/echo/gold/tiny/*n4*/adapter_model.safetensors", "adapters", {"train": 1, "adapters": 1}),
        ("checks/tiny/*n8*", "checks", {"check": 2, "checks": 1}),
    ],
)
def test_only_what_is_asked_is_made_again(copied, pattern, target, expected):
    for path in copied.files(pattern):
        path.unlink()
    before = {path: path.stat().st_mtime_ns for path in copied.files("*/**/*") if path.is_file()}
    assert copied.planned(target) == expected
    copied.snakemake(target)
    made = {path for path in copied.files("*/**/*") if path.is_file() and before.get(path) != path.stat().st_mtime_ns}
    kinds = {path.relative_to(copied.folder).parts[1] for path in made}
    assert kinds <= {"logs", "benchmarks", *(pattern.split("/")[:1]), target}
    assert copied.files(".state/ahead/*/*") == []


def test_failure_is_that_of_its_own_job_and_harms_no_other(tmp_path, tiny_model):
    project = make_tiny_project(tmp_path / "failing", tiny_model)
    project.arguments = ["--cores", "1"]

    def one_fails(config):
        config["configs"]["hot"] = config["configs"]["lora"] | {"learning_rate": 1e30, "max_grad_norm": None}
        config["grid"][0] |= {"tasks": ["shout"], "configs": ["lora", "hot"]}

    project.edit_config(one_fails)
    result = project.snakemake("adapters", "checks", "predictions", check=False)
    assert result.returncode == 1
    assert len(project.files("adapters/**/manifest.json")) == 2
    assert len(project.files("predictions/**/*.jsonl")) == 3
    hot = {name: text for name, text in logs(project).items() if name.startswith("adapters/") and "__hot__" in name}
    assert len(hot) == 2
    for text in hot.values():
        assert "error: the training loss is nan" in text or "error: the trained parameters are not finite" in text
    assert project.files(".state/ahead/*/*") == []


def test_runs_that_share_their_steps_learn_what_they_learn_alone(tmp_path, together, tiny_model):
    """To rounding. On a CPU it has to be asked for."""
    shared = make_tiny_project(tmp_path / "shared", tiny_model)
    shared.arguments = ["--cores", "1"]

    def in_shared_steps(config):
        config["configs"]["lora"]["together"] = "on"

    shared.edit_config(in_shared_steps)
    shared.snakemake("mixes")
    shared.snakemake("adapters")
    assert sum("this was done ahead" in text for text in logs(shared).values()) == 3
    assert any("shares its steps; 2 runs do" in text for text in logs(shared).values())
    for file in together.files("adapters/**/adapter_model.safetensors"):
        found = load_file(shared.folder / file.relative_to(together.folder))
        for name, weight in load_file(file).items():
            torch.testing.assert_close(found[name], weight, atol=1e-4, rtol=1e-3)
    assert shared.planned("adapters") == {}


def finished(path):
    """Whether a description says that a result waits."""
    with contextlib.suppress(FileNotFoundError):
        return "finished" in path.read_text()
    return False


def test_what_was_done_ahead_for_a_job_that_did_not_run_waits_for_it(copied):
    """As when Snakemake is stopped between the two. Nothing heavy is imported to take it."""
    [adapter] = copied.files("adapters/echo/gold/tiny/*n4*/adapter_model.safetensors")
    expected = adapter.read_bytes()
    shutil.rmtree(copied.folder / "results/adapters")
    shutil.rmtree(copied.folder / "results/checks")
    # A signal stops Snakemake as soon as the first process has done work for another.
    run = copied.started("adapters")
    while run.is_running() and not any(finished(path) for path in copied.files(".state/ahead/train/*.json")):
        pass
    run.kill()
    copied.snakemake("--unlock")
    waiting = [path for path in copied.files(".state/ahead/train/*.json") if finished(path)]
    [plan] = copied.files(".state/ahead/plan-*.jsonl")
    taken = json.loads(waiting[0].read_text())["result"]
    log = taken.replace("results/", "results/logs/").replace("/manifest.json", ".log")
    library = {"PYTHONPATH": str(copied.folder / "workflow/scripts")}
    command = [sys.executable, "-c", TAKE, "config/config.yaml", str(plan), log]
    subprocess.run(command, cwd=copied.folder, env=os.environ | library, check=True)
    assert (copied.folder / taken).exists()
    copied.snakemake("adapters", "--rerun-incomplete")
    assert adapter.read_bytes() == expected
    assert len(worked(copied)[1] & {name for name in logs(copied) if name.startswith("adapters/")}) >= len(waiting)
