"""Snakemake is interrupted or killed while a job ends, or two of them work in one folder: what is finished is taken."""

import os
import shutil
import signal
import time

import pytest

PATIENCE_S = 300
"""More than anything takes on a busy machine."""
RUN = "echo__gold__target_only__n4__lora__completion__seed1"
ADAPTER = f"results/adapters/echo/gold/tiny/{RUN}"
# The job has finished its work, and ends when it is told to.
ENDING = """
import time
from pathlib import Path
Path("ending").touch()
while not Path("go").exists():
    time.sleep(0.02)
"""
TAKEN = "an earlier job has finished this training"


def wait_for(happened):
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def ending(changeable):
    """The tiny experiment, in which an adapter is missing and its training does not end at once."""
    script = changeable.folder / "workflow/scripts/train.py"
    script.write_text(script.read_text() + ENDING)
    adapter = changeable.folder / ADAPTER
    first = (adapter / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(adapter)
    return changeable, adapter, first


def end_while(project, number):
    """Start Snakemake, and send a signal to it, and to it alone, when its job is about to end. Then the job ends."""
    for left in ("ending", "go"):
        (project.folder / left).unlink(missing_ok=True)
    run = project.started(f"{ADAPTER}/manifest.json")
    wait_for(lambda: (project.folder / "ending").exists())
    os.kill(run.process.pid, number)
    time.sleep(0.5)
    (project.folder / "go").touch()
    run.result(PATIENCE_S)


def log_of_training(project):
    return (project.folder / f"results/logs/adapters/echo/gold/tiny/{RUN}.log").read_text()


def test_training_that_ends_while_snakemake_is_interrupted_is_done(ending):
    project, adapter, first = ending
    end_while(project, signal.SIGINT)
    assert (adapter / "adapter_model.safetensors").read_bytes() == first
    said = project.snakemake(f"{ADAPTER}/manifest.json")
    assert "Nothing to be done" in said.stderr
    assert not project.files(".state/training/*")


def test_training_that_ends_when_snakemake_has_been_killed_is_taken_and_one_that_is_deleted_later_is_made_anew(ending):
    project, adapter, first = ending
    end_while(project, signal.SIGKILL)
    wait_for(lambda: "done after" in log_of_training(project))
    assert TAKEN not in log_of_training(project)
    made = (adapter / "manifest.json").read_text()
    project.snakemake("--unlock")
    said = project.snakemake(f"{ADAPTER}/manifest.json")
    assert "1 of 1 steps" in said.stderr
    assert TAKEN in log_of_training(project)
    assert (adapter / "adapter_model.safetensors").read_bytes() == first
    assert (adapter / "manifest.json").read_text() == made
    assert not project.files(".state/training/*")
    shutil.rmtree(adapter)
    project.snakemake(f"{ADAPTER}/manifest.json")
    assert TAKEN not in log_of_training(project)
    assert (adapter / "manifest.json").read_text() != made


def test_two_snakemakes_in_one_folder_both_end_well(new_project):
    def one_run(config):
        config["grid"][0] |= {"tasks": ["echo"], "nb_samples": [4]}

    new_project.edit_config(one_run)
    first, second = (new_project.started("--nolock", "predictions") for _ in range(2))
    for run in (first, second):
        result = run.result(PATIENCE_S)
        assert result.returncode == 0, result.stderr
    said = new_project.snakemake("predictions")
    assert "Nothing to be done" in said.stderr
    assert not list((new_project.folder / "results").rglob("*.partial"))
