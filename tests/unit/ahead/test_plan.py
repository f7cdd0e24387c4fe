"""The list of planned jobs: who finds it, what is ready by it, and when it is over."""

import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Params, ResourceList, Wildcards

from loragrid.ahead.plan import PLAN, find_plan, may_follow, published
from loragrid.ahead.told import Told
from loragrid.layout import AHEAD
from trainings import LIBRARY


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PLAN, raising=False)


def told(rule="train", run="r", **changes):
    fields = {
        "wildcards": {"base_model": "m", "run": run},
        "params": {"version": 1},
        "input": {"model": "in/model", "tokens": ["in/a", "in/b"]},
        "output": {"adapter": f"out/{run}/adapter", "manifest": f"out/{run}/manifest.json"},
        "log": f"logs/{rule}/{run}.log",
        "threads": 1,
        "resources": {"mem_mb": 10},
    }
    return Told(rule, **(fields | changes))


def write(path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("")
    return path


def test_job_is_told_the_same_by_snakemake_and_by_the_list():
    class Job:
        rule = "train"
        wildcards = Wildcards(fromdict={"base_model": "m", "run": "r"})
        params = Params(fromdict={"version": 1, "config": {"epochs": 1.5, "names": ("a", "b")}})
        input = InputFiles(fromdict={"model": "in/model", "tokens": ["in/a", "in/b"]})
        output = OutputFiles(fromdict={"manifest": "out/manifest.json"})
        log = Log(["logs/r.log"])
        threads = 2
        resources = ResourceList(fromdict={"mem_mb": 10, "_cores": 2})

    job = Told.of(Job)
    assert job.input == {"model": "in/model", "tokens": ["in/a", "in/b"]}
    assert job.inputs == ["in/model", "in/a", "in/b"]
    assert job.last_output == "out/manifest.json"
    with published([job], [], []):
        assert find_plan(base_model="m").jobs == [job]


def test_only_the_jobs_of_a_model_or_of_a_scorer_are_read():
    scored = told("score", wildcards={"base_model": "m", "run": "r", "scorer": "sbert"})
    jobs = [told(), told(wildcards={"base_model": "mm", "run": "r"}), scored]
    with published(jobs, [], []):
        assert find_plan(base_model="m").jobs == jobs[:1]
        assert find_plan(scorer="sbert").jobs == jobs[2:]
        assert find_plan(scorer="rouge").jobs == []


def test_list_is_there_as_long_as_snakemake_runs():
    with published([told()], [], []):
        plan = find_plan(base_model="m")
        assert [job.title for job in plan.jobs] == ["logs/train/r.log"]
        # Of another process, since locks belong to processes.
        assert said_elsewhere("print(find_plan().is_over())") == "False"
    assert plan.is_over()
    assert find_plan() is None
    assert list(Path(AHEAD).iterdir()) == []


def test_list_of_a_killed_snakemake_is_over_and_goes():
    program = """
        import os
        with published([], [], []):
            print(os.environ["LORAGRID_PLAN"], flush=True)
            os._exit(1)
    """
    os.environ[PLAN] = said_elsewhere(program)
    plan = find_plan()
    assert plan.path.exists()
    assert plan.is_over()
    with published([], [], []):
        assert not plan.path.exists()


def test_where_no_list_can_be_read_nothing_is_planned(monkeypatch):
    for text in (None, "", "[1", '["host", {}, []]\n["train", {"base_model": "m"}]\n'):
        if text is not None:
            Path("plan.jsonl").write_text(text)
        monkeypatch.setenv(PLAN, "plan.jsonl")
        assert find_plan(base_model="m") is None


def test_file_that_is_to_be_made_anew_is_not_there_until_it_is():
    old, other = write("out/r/adapter"), write("in/model")
    with published([told()], ["out/r/adapter", "out/r/manifest.json"], []):
        plan = find_plan()
        assert [plan.is_made(path) for path in (old, other, "none")] == [False, True, False]
        assert not plan.is_done(told())
        os.utime(old, ns=(1, time.time_ns() + 1))
        write("out/r/manifest.json")
        assert plan.is_done(told())


@pytest.mark.parametrize(
    ("changes", "follows"),
    [
        ({}, True),
        ({"rule": "predict"}, True),
        ({"wildcards": {"base_model": "other"}}, False),
        ({"threads": 2}, False),
        ({"environment": "envs/infer"}, False),
        ({"resources": {"gpu": 1}}, False),
        ({"resources": {"mem_mb": 99}}, False),
        ({"resources": {"runtime": 99}}, True),
    ],
)
def test_work_follows_only_with_the_same_means(changes, follows):
    assert may_follow(told(), told(**changes), limited=["mem_mb"]) == follows


def test_head_of_the_list_says_where_snakemake_runs():
    with published([], [], ["gpu"]):
        head = json.loads(Path(os.environ[PLAN]).read_text().splitlines()[0])
        assert head == [platform.node(), {}, ["gpu"]]


def said_elsewhere(program):
    """What a program prints in a process of its own."""
    imports = "from loragrid.ahead.plan import find_plan, published\n"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / LIBRARY)}
    command = [sys.executable, "-c", imports + textwrap.dedent(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
