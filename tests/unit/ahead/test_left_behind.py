"""What a process that is killed leaves of work for others."""

import shutil
from pathlib import Path

import pytest

from loragrid.ahead.store import log_of, place_of, take
from loragrid.runtime.finished import MARKERS, RECORDS
from loragrid.runtime.states import describe_state
from loragrid.training.job import train_claimed
from trainings import adapter_bytes, changed


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_work_that_was_only_begun_leaves_nothing_when_its_job_comes():
    place = place_of("train", {"work": 1})
    describe_state(place, {"result": "results/a/manifest.json"})
    log_of(place).write_text("training\n")
    assert take(place, Path("results/a")) is None
    assert not list(place.parent.iterdir())


def test_training_that_a_killed_job_has_finished_is_taken_by_a_process_that_works_ahead(make_job, monkeypatch):
    job = changed(make_job("own"), keeps_finished=True)
    # It is killed when the result is whole.
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr("loragrid.training.job.close_state", interrupt)
        train_claimed(job, None, bool)
    expected = adapter_bytes(job)
    for file in Path(job.folder).iterdir():
        file.unlink()
    monkeypatch.setattr("loragrid.training.loop.seed_step", interrupt)
    ahead = changed(job, kept_in="ahead")
    train_claimed(ahead, None, bool)
    assert adapter_bytes(changed(ahead, folder="ahead")) == expected


def test_training_that_was_finished_ahead_is_not_lost_if_the_process_is_killed_before_it_has_said_so(make_job, monkeypatch):
    for folder in (RECORDS, MARKERS):
        folder.mkdir(parents=True)
    job = changed(make_job("own"), keeps_finished=True)
    ahead = changed(job, kept_in="ahead")
    train_claimed(ahead, None, bool)
    expected = adapter_bytes(changed(ahead, folder="ahead"))
    shutil.rmtree("ahead")
    monkeypatch.setattr("loragrid.training.loop.seed_step", interrupt)
    train_claimed(job, None, bool)
    assert adapter_bytes(job) == expected


def interrupt(*_):
    raise KeyboardInterrupt
