"""Results that wait for their jobs."""

import os
from pathlib import Path

import pytest

from loragrid.ahead.store import (
    begin,
    finish,
    has_failed,
    is_finished,
    log_of,
    note_failure,
    place_of,
    put_back,
    take,
    taken,
    was_tried,
)
from loragrid.layout import AHEAD
from loragrid.runtime.finished import PLANNED, forget_recorded, record_of
from loragrid.runtime.shares import Share

RESULT = "results/a/manifest.json"


@pytest.fixture(autouse=True)
def there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place():
    """A result that waits, with its log."""
    place = place_of("train", {"work": 1})
    place.mkdir(parents=True)
    (place / "weights").write_text("numbers")
    (place / "manifest.json").write_text("{}")
    log_of(place).write_text("step 1\n")
    finish(place, ["a/weights", RESULT], RESULT, "process 1", Share(2.5, 100))
    return place


def record(when_ns=None):
    """What Snakemake writes when a job has ended."""
    path = record_of(RESULT)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    if when_ns:
        os.utime(path, ns=(when_ns, when_ns))


def test_same_work_has_the_same_place_and_other_work_another():
    assert place_of("train", {"a": 1, "b": 2}) == place_of("train", {"b": 2, "a": 1})
    assert len({place_of("train", {"a": 1}), place_of("train", {"a": 2}), place_of("check", {"a": 1})}) == 3


def test_result_is_taken_whole_with_what_is_known_of_the_work(place):
    whose = take(place, Path("results/a"))
    assert (whose["seconds"], whose["peak_mb"], whose["by"]) == (2.5, 100, "process 1")
    assert Path("results/a/weights").read_text() == "numbers"
    assert Path(RESULT).read_text() == "{}"


def test_result_waits_on_until_snakemake_has_recorded_it(place):
    marker = record_of(RESULT, Path(".snakemake/incomplete"))
    marker.parent.mkdir(parents=True)
    marker.touch()
    Path(".snakemake/metadata").mkdir()
    take(place, Path("results/a"))
    taken(place, RESULT)
    assert is_finished(place)
    record()
    forget_recorded()
    assert not list(place.parent.iterdir())


def test_result_goes_at_once_where_snakemakes_records_cannot_be_seen(place):
    take(place, Path("results/a"))
    taken(place, RESULT)
    assert not list(place.parent.iterdir())


def test_result_that_was_recorded_and_deleted_since_is_not_taken(place, monkeypatch):
    record()
    described = place.with_suffix(".json")
    monkeypatch.setenv(PLANNED, str(described.stat().st_mtime + 10))
    assert not is_finished(place)
    assert take(place, Path("results/a")) is None
    assert not list(place.parent.iterdir())


def test_damaged_result_is_set_aside_and_not_taken(place):
    (place / "weights").write_text("numbexs")
    assert take(place, Path("results/a")) is None
    assert not Path("results/a/weights").exists()
    assert not is_finished(place)


def test_result_that_lacks_a_file_is_not_taken(place):
    (place / "weights").unlink()
    assert take(place, Path("results/a")) is None


def test_description_that_cannot_be_read_is_no_result(place):
    place.with_suffix(".json").write_text("{")
    assert take(place, Path("results/a")) is None
    assert not place.exists()


def test_result_without_an_output_is_not_called_whole(place):
    (place / "weights").unlink()
    with pytest.raises(FileNotFoundError):
        finish(place, ["a/weights", RESULT], RESULT, "process 1", Share(2.5, 100))


def test_process_that_died_of_its_work_is_remembered_in_this_run_of_snakemake(place):
    begin(place, RESULT, "plan-1")
    assert was_tried(place, "plan-1")
    assert not was_tried(place, "plan-2")
    assert not place.exists()
    assert not log_of(place).exists()
    put_back(place, RESULT)
    assert not was_tried(place, "plan-1")
    begin(place, RESULT, "plan-1")
    Path(".snakemake/metadata").mkdir(parents=True)
    Path(AHEAD, "plan-1").touch()
    forget_recorded()
    assert was_tried(place, "plan-1")
    Path(AHEAD, "plan-1").unlink()
    forget_recorded()
    assert not list(place.parent.iterdir())


def test_failure_counts_in_one_run_of_snakemake_only(place):
    note_failure(place, RESULT, "plan-1")
    assert has_failed(place, "plan-1")
    assert not has_failed(place, "plan-2")
    assert take(place, Path("results/a")) is None
    note_failure(place, RESULT, "plan-1")
    record()
    forget_recorded()
    assert not list(place.parent.glob("*.json"))
