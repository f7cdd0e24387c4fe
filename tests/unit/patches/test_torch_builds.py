"""An extension of torch is built while a build of it was killed, or goes on, in another process."""

import multiprocessing
import os
import signal

import pytest
from torch.utils.cpp_extension import load

from loragrid.patches.torch_builds import KernelBaton, end_builds_with_their_process

FORKS = multiprocessing.get_context("fork")


@pytest.fixture
def building(tmp_path):
    """Another process that builds."""
    ours, theirs = FORKS.Pipe()

    def build():
        baton = KernelBaton(str(tmp_path / "lock"))
        theirs.send(baton.try_acquire())
        theirs.recv()
        baton.release()

    process = FORKS.Process(target=build)
    process.start()
    assert ours.recv()
    process.go_on = lambda: ours.send("go on")
    yield process
    process.kill()
    process.join()


def test_one_process_builds_and_others_wait_until_it_is_done(tmp_path, building):
    baton = KernelBaton(str(tmp_path / "lock"))
    assert not baton.try_acquire()
    assert (tmp_path / "lock").exists()
    building.go_on()
    baton.wait()
    building.join()
    assert not (tmp_path / "lock").exists()
    assert baton.try_acquire()
    baton.release()


def test_build_that_was_killed_keeps_nobody_from_building(tmp_path, building):
    os.kill(building.pid, signal.SIGKILL)
    building.join()
    assert (tmp_path / "lock").exists()
    baton = KernelBaton(str(tmp_path / "lock"))
    baton.wait()
    assert baton.try_acquire()
    baton.release()
    assert not (tmp_path / "lock").exists()


def test_without_locks_of_the_kernel_the_file_is_the_lock(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no locks")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    first, second = (KernelBaton(str(tmp_path / "lock")) for _ in range(2))
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    second.wait()
    assert second.try_acquire()
    second.release()


def test_torch_builds_beside_the_lock_of_a_killed_build(tmp_path):
    end_builds_with_their_process()
    (tmp_path / "answer.cpp").write_text('extern "C" int answer() { return 42; }\n')
    (tmp_path / "lock").touch()
    load("answer", str(tmp_path / "answer.cpp"), build_directory=str(tmp_path), is_python_module=False)
    assert (tmp_path / "answer.so").exists()
    assert not (tmp_path / "lock").exists()
