"""Two jobs that make the same result at the same time, and results that are finished when Snakemake is not there to see it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from forked import fork
from loragrid.runtime.locks import only_job_for
from loragrid.training.job import run_training
from trainings import LIBRARY, adapter_bytes, train_noting_steps


class Contest:
    """Processes that train the same."""

    def __init__(self, folder, job):
        self.folder, self.job = folder, job

    def start(self, name, held=False):
        """Start a process that notes its steps, and stops in its third step, if it is held, until it is told to go on."""
        process = fork(train_noting_steps, self.job.model_dump_json(), str(self.folder), name, held)
        process.start()
        return process

    def wait_for(self, happened):
        until = time.monotonic() + 600
        while not happened():
            assert time.monotonic() < until
            time.sleep(0.02)

    def said(self, name):
        log = self.folder / f"{name}.log"
        return log.read_text() if log.exists() else ""

    def steps(self):
        return (self.folder / "steps").read_text().splitlines()


@pytest.fixture
def contest(make_job, tmp_path):
    whole = make_job("whole")
    run_training(whole, None)
    found = Contest(tmp_path, make_job("contested"))
    found.expected = adapter_bytes(whole)
    return found


def test_second_job_of_a_training_waits_and_takes_what_the_first_has_finished(contest):
    first = contest.start("first", held=True)
    contest.wait_for(lambda: (contest.folder / "steps").exists() and "first 3" in contest.steps())
    second = contest.start("second")
    contest.wait_for(lambda: f"the job that is waited for: process {first.pid} on " in contest.said("second"))
    assert f"another job is making {contest.job.folder}; waiting until it ends" in contest.said("second")
    (contest.folder / "go").touch()
    for process in (first, second):
        process.join()
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert "the other job has finished this training; its result is taken" in contest.said("second")
    assert {line.split()[0] for line in contest.steps()} == {"first"}
    assert adapter_bytes(contest.job) == contest.expected
    assert not list((contest.folder / "locks").iterdir())
    assert not list((contest.folder / "state-contested").iterdir())


def test_second_job_of_a_training_goes_on_where_a_first_that_is_killed_has_been(contest):
    first = contest.start("first", held=True)
    contest.wait_for(lambda: (contest.folder / "steps").exists() and "first 3" in contest.steps())
    second = contest.start("second")
    contest.wait_for(lambda: "waiting until it ends" in contest.said("second"))
    first.kill()
    second.join()
    assert second.exitcode == 0
    assert next(line for line in contest.steps() if line.startswith("second")) == "second 3"
    assert adapter_bytes(contest.job) == contest.expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_job_that_waits_for_another_ends_at_once_when_asked(tmp_path, number):
    code = (
        "import signal, sys\nfrom pathlib import Path\nfrom loragrid.runtime.locks import only_job_for\n"
        "from loragrid.runtime.job import logged\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with logged(sys.argv[2]), only_job_for('result', Path(sys.argv[1])):\n    pass\n"
    )
    with only_job_for("result", tmp_path / "locks"):
        log = tmp_path / "log"
        command = [sys.executable, "-c", code, str(tmp_path / "locks"), str(log)]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": LIBRARY}, stderr=subprocess.PIPE, text=True)
        while not (log.exists() and "waiting until it ends" in log.read_text()):
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.splitlines()[0] == f"stopped by {number.name} while it waited for another job."
