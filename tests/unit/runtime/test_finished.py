"""Finished work that is kept until Snakemake has recorded the result: when it is taken, and when it is not."""

import os
import shutil
import time

import pytest

from loragrid.layout import TRAINING_STATES
from loragrid.runtime import finished
from loragrid.runtime.finished import (
    MARKERS,
    PLANNED,
    RECORDS,
    finish_state,
    forget_recorded,
    is_made_meanwhile,
    is_superseded,
    keep_files,
    record_of,
    take_files,
)
from loragrid.runtime.states import describe_state

RESULT = f"results/adapters/{'long-' * 60}/manifest.json"


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A state whose work is finished, in a folder where Snakemake works, and has recorded nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PLANNED, raising=False)
    for folder in (RECORDS, MARKERS):
        folder.mkdir(parents=True)
    state = tmp_path / TRAINING_STATES / "0123"
    state.mkdir(parents=True)
    describe_state(state, {"result": RESULT})
    mark()
    finish_state(state, RESULT)
    return state


def mark():
    """Do what Snakemake does when it starts a job."""
    path = record_of(RESULT, MARKERS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def record(result=RESULT):
    """Do what Snakemake does when it has seen that a job has ended."""
    path = record_of(result)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    os.utime(path, ns=(time.time_ns(), time.time_ns()))


def test_record_of_a_result_is_where_snakemake_puts_it(tmp_path, monkeypatch):
    from snakemake.persistence.file import FilePersistence

    monkeypatch.chdir(tmp_path)
    RECORDS.mkdir(parents=True)
    theirs = FilePersistence.__new__(FilePersistence)
    theirs._max_len = None
    for result in (RESULT, "results/a", "results/ä?>.json"):
        assert str(record_of(result)) == theirs._record_path(str(RECORDS), result)


def test_work_may_be_taken_until_snakemake_has_recorded_the_result(state):
    assert not is_superseded(state)
    forget_recorded()
    assert state.exists()
    record()
    # Whoever deletes a recorded result wants it made anew.
    assert is_superseded(state)
    forget_recorded()
    assert not list(state.parent.iterdir())


def test_an_older_record_says_nothing_about_work_that_was_finished_later(state):
    record()
    finish_state(state, RESULT)
    assert not is_superseded(state)
    forget_recorded()
    assert state.exists()
    record()
    assert is_superseded(state)


def test_work_that_another_snakemake_has_recorded_meanwhile_may_be_taken(state, monkeypatch):
    record()
    monkeypatch.setenv(PLANNED, repr(time.time() - 60))
    assert not is_superseded(state)
    monkeypatch.setenv(PLANNED, repr(time.time() + 60))
    assert is_superseded(state)


def test_unfinished_work_is_never_forgotten(state):
    describe_state(state, {"result": RESULT}, again=True)
    record()
    forget_recorded()
    assert state.exists()


def test_work_is_not_kept_where_nothing_tells_whether_it_is_recorded(state, monkeypatch):
    monkeypatch.setattr(finished, "_SEEN", set())
    record_of(RESULT, MARKERS).unlink()
    finish_state(state, RESULT)
    assert not list(state.parent.iterdir())


def test_work_is_kept_although_another_snakemake_has_removed_the_marker_meanwhile(state):
    assert finished.sees_it_running(RESULT)
    record_of(RESULT, MARKERS).unlink()
    finish_state(state, RESULT)
    assert state.is_dir()


def test_result_that_was_put_into_its_place_since_snakemake_looked_is_made_meanwhile_whenever_it_was_computed(state, monkeypatch):
    (state / "manifest.json").write_text("{}")
    os.utime(state / "manifest.json", (0, 0))
    monkeypatch.setenv(PLANNED, repr(time.time() - 1))
    assert not is_made_meanwhile("manifest.json")
    os.link(state / "manifest.json", "manifest.json")
    assert is_made_meanwhile("manifest.json")
    monkeypatch.setenv(PLANNED, repr(time.time() + 60))
    assert not is_made_meanwhile("manifest.json")
    monkeypatch.delenv(PLANNED)
    assert not is_made_meanwhile("manifest.json")


def test_work_that_was_copied_without_snakemakes_records_may_be_taken(state):
    shutil.rmtree(RECORDS.parent)
    assert not is_superseded(state)
    forget_recorded()
    assert state.exists()


@pytest.mark.parametrize("has_links", [True, False])
def test_files_are_kept_and_taken_with_and_without_hard_links(tmp_path, monkeypatch, has_links):
    def no_link(*paths):
        raise OSError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    made, kept, taken = (tmp_path / name for name in ("made", "kept", "taken"))
    (made / "sub").mkdir(parents=True)
    for name in ("weights", "sub/config"):
        (made / name).write_text(name)
    keep_files(made, kept)
    assert (kept / "weights").samefile(made / "weights") == has_links
    taken.mkdir()
    (taken / "weights").write_text("half")
    take_files(kept, taken)
    assert {path.relative_to(taken).as_posix(): path.read_text() for path in taken.rglob("*") if path.is_file()} == {
        "weights": "weights",
        "sub/config": "sub/config",
    }


def test_large_files_are_not_copied_to_keep_them(tmp_path, monkeypatch):
    def no_link(*paths):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(finished, "MOST_COPIED", 3)
    (tmp_path / "made").mkdir()
    (tmp_path / "made/weights").write_text("four")
    keep_files(tmp_path / "made", tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


def test_finished_work_of_a_job_that_failed_stays_although_snakemake_has_recorded_it(state, tmp_path, monkeypatch):
    """Snakemake records the outputs of a failed job, and then removes them."""
    describe_state(state, {"result": "manifest.json", "finished": True, "record": None}, again=True)
    record("manifest.json")
    forget_recorded(ended=True)
    assert state.is_dir()
    monkeypatch.setenv(PLANNED, str(time.time() + 1))
    assert not is_superseded(state)
    (tmp_path / "manifest.json").write_text("{}")
    record("manifest.json")
    forget_recorded(ended=True)
    assert not state.exists()


def test_record_of_a_job_that_failed_in_this_run_supersedes_nothing(state, monkeypatch):
    os.utime(state.with_suffix(".json"), (time.time() - 60,) * 2)
    monkeypatch.setenv(PLANNED, str(time.time() - 30))
    record()
    assert not is_superseded(state)
