import subprocess
import sys

import pytest

from loragrid.runtime.locks import held, held_if_free, is_held, lock_open_file

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
