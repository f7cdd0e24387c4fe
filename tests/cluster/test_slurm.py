"""The workflow on a real Slurm: the same results as without, with the resources asked for."""

import json
import time
from collections import defaultdict

import pytest

from cluster.clusters import GPUS
from projects import Project, make_tiny_project


def one_task(config):
    config["grid"][0] |= {"tasks": ["shout"]}
    config["tasks"].pop("echo")
    # Long enough that two trainings overlap.
    config["configs"]["lora"] |= {"epochs": 60}
    config["models"]["tiny"]["resources"] = {"train": {"gpu": 1, "runtime": 30}, "predict": {"mem_mb": 3000}}


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory, tiny_model, cluster):
    """The grid of one task, computed to its report on Slurm, and what its jobs saw: who had which GPU at which moment."""
    project = make_tiny_project(tmp_path_factory.mktemp("on_slurm") / "project", tiny_model)
    project.arguments, project.environment = cluster.arguments, cluster.environment
    project.edit_config(one_task)
    seen = []
    run = project.started()
    while run.is_running():
        holders = defaultdict(set)
        for environment in cluster.job_processes().values():
            if "CUDA_VISIBLE_DEVICES" in environment:
                gpu = environment["SLURMD_NODENAME"], environment["CUDA_VISIBLE_DEVICES"]
                holders[gpu].add(environment["SLURM_JOB_ID"])
        seen.append(dict(holders))
        time.sleep(0.3)
    result = run.result()
    assert result.returncode == 0, result.stdout + result.stderr
    return project, seen


def test_models_and_answers_are_the_same_bytes_as_those_of_a_local_run(on_slurm, changeable):
    project, _ = on_slurm
    changeable.edit_config(one_task)
    changeable.snakemake("predictions")
    adapters = changeable.files("adapters/shout/**/adapter_model.safetensors")
    assert len(adapters) == 2
    for file in adapters:
        assert (project.folder / file.relative_to(changeable.folder)).read_bytes() == file.read_bytes()
    predictions = changeable.files("predictions/shout/**/*.jsonl")
    assert len(predictions) == 3
    for file in predictions:
        assert answers(project.folder / file.relative_to(changeable.folder)) == answers(file)


def test_jobs_hold_the_resources_that_are_asked_for(on_slurm, cluster):
    project, _ = on_slurm
    trainings, predictions = (cluster.jobs_of(rule, project.folder).values() for rule in ("train", "predict"))
    assert len(trainings) == 2
    assert len(predictions) == 3
    for job in trainings:
        assert job["JobState"] == "COMPLETED"
        assert job["TRES"].startswith("cpu=1,mem=6000M,node=1")
        assert job["TresPerJob"] == "gres:gpu:1"
        assert job["TimeLimit"] == "00:30:00"
    for job in predictions:
        assert job["TRES"].startswith("cpu=1,mem=3000M,node=1")
        assert "TresPerJob" not in job


def test_scores_of_a_prediction_are_one_submission_with_the_memory_of_one_and_the_time_of_all(on_slurm, cluster):
    project, _ = on_slurm
    submissions = cluster.jobs_of("scores", project.folder).values()
    assert len(submissions) == 3
    assert len(project.files("scores/**/*.jsonl")) == 6
    for job in submissions:
        assert job["TRES"].startswith("cpu=1,mem=2000M,node=1")
        assert job["TimeLimit"] == "00:10:00"


def test_two_jobs_never_have_the_same_gpu_at_once(on_slurm):
    _, seen = on_slurm
    assert max(len(holders) for holders in seen) == 2
    assert all(len(jobs) == 1 for holders in seen for jobs in holders.values())
    assert {number for holders in seen for _, number in holders} <= {str(number) for number in range(GPUS)}


def test_finished_grid_has_nothing_to_do_locally(on_slurm):
    project, _ = on_slurm
    assert project.files("report.html")
    assert Project(project.folder).planned() == {}


def test_log_of_a_job_is_where_that_of_a_local_one_is(on_slurm):
    project, _ = on_slurm
    logs = project.files("logs/adapters/shout/gold/tiny/*.log")
    assert len(logs) == 2
    assert all("training loss" in log.read_text() for log in logs)


def answers(file):
    times = {"queue_s": 0, "compute_s": 0, "runtime_s": 0}
    return [json.loads(line) | times for line in file.read_text().splitlines()]
