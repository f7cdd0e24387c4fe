import os
import re
import subprocess
import sys

import pytest

from loragrid.runtime.locks import WITHOUT_LOCKS, held, held_if_free, holder_of, is_held, lock_open_file, only_job_for

HOLDER = """
import sys
from pathlib import Path
from loragrid.runtime.locks import held
with held(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "folder" / "x.lock"


@pytest.fixture
def holder(lock):
    """Another process that holds the lock until it is told to end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_lock_of_another_process_is_not_ours_until_that_ends_however_it_ends(lock, holder):
    with held_if_free(lock) as free:
        assert not free
    assert is_held(lock)
    holder.kill()
    holder.wait()
    assert not is_held(lock)
    with held_if_free(lock) as free:
        assert free
        assert is_held(lock)
    assert not is_held(lock)


def test_whoever_waits_says_so_and_gets_the_lock_afterwards(lock, holder):
    said = []

    def say():
        said.append("waiting")
        holder.stdin.close()

    with held(lock, say, poll_s=0.01):
        assert is_held(lock)
    assert said == ["waiting"]
    assert lock.exists()
    with held(lock, say):
        assert said == ["waiting"]


def test_lock_ends_with_its_block_also_where_that_fails(lock):
    with pytest.raises(ZeroDivisionError), held(lock, lambda: None):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), held_if_free(lock):
        raise ZeroDivisionError
    assert not is_held(lock)


def test_nobody_holds_a_lock_that_is_not_there_and_to_ask_does_not_make_it(tmp_path):
    assert not is_held(tmp_path / "none.lock")
    assert list(tmp_path.iterdir()) == []


def test_open_file_is_locked_until_it_is_closed(tmp_path):
    path = tmp_path / "journal"
    with open(path, "a") as file:
        lock_open_file(file)
        assert is_held(path)
    assert not is_held(path)


def test_log_says_for_whom_a_job_waits_and_since_when(tmp_path, caplog):
    with only_job_for("results/a", tmp_path):
        [lock] = tmp_path.iterdir()
        assert re.fullmatch(rf"process {os.getpid()} on \S+, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", holder_of(lock))
    assert not list(tmp_path.iterdir())
    assert holder_of(lock) == "it has just ended"


def test_results_of_different_names_are_made_at_the_same_time(tmp_path):
    with only_job_for("a", tmp_path) as one, only_job_for("b", tmp_path) as other:
        assert not one()
        assert not other()


@pytest.mark.parametrize("number", WITHOUT_LOCKS)
def test_file_system_without_locks_is_told_and_works_go_on(tmp_path, monkeypatch, caplog, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock._unix.fcntl.flock", refuse)
    with only_job_for("a", tmp_path):
        pass
    assert (
        f"{tmp_path}: the file system has no locks ({os.strerror(number)}); no other job may do the same work now" in caplog.text
    )
    with open(tmp_path / "journal", "w") as file:
        lock_open_file(file)


IN_TURN = """
import sys, time
from pathlib import Path
from loragrid.runtime.locks import only_job_for
for _ in range(25):
    with only_job_for("counter", Path(sys.argv[1], "locks")):
        counter = Path(sys.argv[1], "counter")
        number = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(number + 1))
"""


def test_jobs_take_turns_although_the_file_of_the_lock_goes_each_time(tmp_path):
    (tmp_path / "counter").write_text("0")
    command, environment = [sys.executable, "-c", IN_TURN, tmp_path], {"PYTHONPATH": ":".join(sys.path)}
    jobs = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [job.wait() for job in jobs] == [0] * 4
    assert (tmp_path / "counter").read_text() == "100"
    assert not list((tmp_path / "locks").iterdir())
