"""Which work of other jobs a process takes, in which order, and what becomes of it."""

import io
import json
import os
from pathlib import Path

import pytest

from loragrid.ahead import others as module
from loragrid.ahead.following import follow
from loragrid.ahead.others import Others
from loragrid.ahead.plan import GROUP, find_plan, published
from loragrid.ahead.stages import Means, Stage
from loragrid.ahead.store import is_finished
from loragrid.errors import StoppedError, UserError
from loragrid.layout import LOCKS
from loragrid.runtime.job import log
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.screen import SHOWS_JOBS
from loragrid.runtime.shares import Share
from unit.ahead.test_plan import told, write

RUNS = ("a", "b")
MEANS = Means(None, None)


def job_of(rule, run):
    """A job of a run: its training makes an adapter, which a check and a prediction read."""
    output = {"train": f"adapters/{run}", "check": f"checks/{run}", "predict": f"predictions/{run}"}[rule]
    reads = {"data": "data"} if rule == "train" else {"adapter": f"adapters/{run}"}
    return told(rule, run, output={"file": output}, input=reads, message=f"{rule} {run}")


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """Four jobs of each run. A stage notes what it does, and writes what it has read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module.Plan, "is_over", lambda plan: False)
    monkeypatch.setenv(SHOWS_JOBS, "1")
    monkeypatch.delenv(GROUP, raising=False)
    write("data")
    done = []

    def run(job, told, started, has_waited, means):
        done.append(told.message)
        if told.message in failing:
            raise failing[told.message]
        folder, content = job
        Path(folder).mkdir(parents=True)
        Path(folder, Path(told.output["file"]).name).write_text(content)

    failing = {}
    stages = {
        name: Stage(
            name,
            describe=lambda told, config: (None, "".join(Path(path).read_text() for path in told.inputs) + told.message),
            result=lambda job: job[1],
            identity=lambda job: {"content": job[1]},
            loads=lambda job: "hf",
            computes_here=lambda job: True,
            kept_in=lambda job, folder: (folder, job[1]),
            run=run,
        )
        for name in ("train", "check", "predict")
    }
    monkeypatch.setattr(module, "STAGES", stages)
    with published([job_of(rule, run) for run in RUNS for rule in ("train", "check", "predict")], [], []):
        yield done, failing


def others_of(rule="train", run="a", limit=0):
    screen = io.StringIO()
    return Others(job_of(rule, run), "hf", {}, find_plan(base_model="m"), limit, screen), screen


def finish_own(rule="train", run="a"):
    write(job_of(rule, run).output["file"])


def test_own_run_is_checked_and_asked_first_then_the_next_is_trained(planned):
    done, _ = planned
    finish_own()
    others, screen = others_of()
    follow(others, MEANS)
    assert sorted(done[:2]) == ["check a", "predict a"]
    assert done[2] == "train b"
    assert sorted(done[3:]) == ["check b", "predict b"]
    assert [line[11:] for line in screen.getvalue().splitlines()] == [f"done ahead: {what}" for what in done]


def test_inputs_that_wait_themselves_are_read_where_they_wait(planned):
    finish_own()
    others, _ = others_of()
    follow(others, MEANS)
    [predicted] = Path("results/.state/ahead/predict").glob("*/b")
    assert predicted.read_text() == "train bpredict b"


@pytest.mark.parametrize(("limit", "count"), [(1, 0), (2, 1), (4, 3), (0, 5)])
def test_process_works_for_as_many_jobs_as_it_may(planned, limit, count):
    finish_own()
    others, _ = others_of(limit=limit)
    follow(others, MEANS)
    assert (others.done, len(planned[0])) == (count, count)


def test_work_without_its_inputs_is_left(planned):
    others, _ = others_of("check", "a")
    Path("data").unlink()
    assert others.take() is None


def test_work_that_somebody_else_does_is_left_to_him(planned):
    finish_own()
    with only_job_for("check a", Path(LOCKS)):
        others, _ = others_of(limit=2)
        assert others.take().told.message == "predict a"
        others.let_go()


def test_taken_work_is_nobody_elses_until_it_is_left(planned):
    finish_own()
    mine, _ = others_of()
    his, _ = others_of("check", "b")
    first = mine.take()
    assert his.take().told.message != first.told.message
    mine.leave(first, UserError("failed"))
    assert list(Path(LOCKS).iterdir()) != []
    mine.let_go(), his.let_go()
    assert list(Path(LOCKS).iterdir()) == []


def test_finished_work_is_done_by_nobody_else(planned):
    finish_own()
    follow(others_of()[0], MEANS)
    planned[0].clear()
    follow(others_of("check", "b")[0], MEANS)
    # In this test nobody has taken what is the own work of either.
    assert planned[0] == []


def test_failure_is_told_by_its_own_job_and_others_go_on(planned, caplog, monkeypatch):
    done, failing = planned
    monkeypatch.setattr(log, "propagate", True)
    finish_own()
    failing["check a"] = UserError("the model does not pass")
    with caplog.at_level("INFO"):
        follow(others_of()[0], MEANS)
    assert "this failed, and its own job will do it once more: the model does not pass" in caplog.text
    assert len(done) == 5
    # Nobody tries it ahead again in this run of Snakemake.
    done.clear()
    follow(others_of("check", "b")[0], MEANS)
    assert done == []


@pytest.mark.parametrize("error", [StoppedError("stopped by SIGTERM"), OSError(28, "No space left on device")])
def test_process_that_is_to_end_or_can_write_no_more_takes_nothing_else(planned, error):
    done, failing = planned
    finish_own()
    failing |= {"check a": error, "predict a": error}
    others, _ = others_of()
    follow(others, MEANS)
    assert len(done) == 1
    assert others.done == 0
    assert list(Path(LOCKS).iterdir()) == []
    # Whoever comes later may do it.
    failing.clear()
    follow(others_of("check", "b")[0], MEANS)
    assert {"check a", "predict a"} <= set(done)


def test_work_of_which_a_process_has_died_is_left_to_its_own_job(planned):
    finish_own()
    dying, _ = others_of()
    ready = dying.take()
    # Its locks end with the process.
    dying.held.pop(ready.told.log)[1].close()
    others, _ = others_of()
    follow(others, MEANS)
    assert ready.told.message not in planned[0]
    assert others.done == 4


def test_trouble_behind_finished_own_work_ends_only_the_work_for_others(planned, monkeypatch, capsys):
    finish_own()
    others, _ = others_of()
    monkeypatch.setattr(others, "_find", lambda: iter([1 / 0 for _ in [0]]))
    follow(others, MEANS)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_process_that_was_asked_to_end_in_its_own_work_does_nothing_for_others(planned, monkeypatch):
    finish_own()
    monkeypatch.setattr("loragrid.ahead.following.was_asked_to_end", lambda: True)
    follow(others_of()[0], MEANS)
    assert planned[0] == []


def test_work_whose_inputs_change_meanwhile_is_not_kept(planned):
    Path("adapters").mkdir()
    others, _ = others_of("check", "a")
    ready = others.take()
    ready.place.mkdir(parents=True)
    write(f"{ready.place}/{Path(ready.told.output['file']).name}")
    others.left.clear()
    changed = ready._replace(told=ready.told, job=(None, "other content"))
    others.leave(changed, None, Share(1.0, 2.0))
    assert not is_finished(ready.place)


def test_jobs_of_the_same_submission_come_first(planned, monkeypatch):
    finish_own()
    monkeypatch.setenv(GROUP, json.dumps(["adapters/a", "adapters/b"]))
    others, _ = others_of(limit=2)
    follow(others, MEANS)
    assert planned[0] == ["train b"]


def test_result_says_who_has_made_it(planned):
    finish_own()
    others, _ = others_of()
    ready = others.take()
    (ready.place).mkdir(parents=True)
    write(f"{ready.place}/a")
    others.leave(ready, None, Share(1.0, 2.0))
    assert is_finished(ready.place)
    whose = json.loads(ready.place.with_suffix(".json").read_text())
    assert whose["by"].startswith(f"process {os.getpid()} on ")
    assert "which was started for: train a (log: logs/train/a.log)" in whose["by"]
