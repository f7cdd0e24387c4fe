"""GPUs are pretended: an `nvidia-smi` on PATH lists them. Processes, locks and kills are real."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import pytest

from loragrid.errors import UserError
from loragrid.runtime.gpu_leases import lease_gpus, local_gpus

JOB = """
import json, subprocess, sys, time
from loragrid.runtime.gpu_leases import lease_files, lease_gpus
from loragrid.runtime.job import show_log
show_log(sys.stderr)
resources, seconds, child, keeps = json.loads(sys.argv[1])
gpus = lease_gpus(resources, poll_s=0.05)
started = time.monotonic()
if child:
    child = subprocess.Popen(child, pass_fds=lease_files() if keeps else ()).pid
print(json.dumps([gpus, started, child]), flush=True)
time.sleep(seconds) if seconds else sys.stdin.read()
print(json.dumps(time.monotonic()), flush=True)
"""
FOUR = "".join(f"GPU {i}: NVIDIA H100 (UUID: GPU-{name})\n" for i, name in enumerate(("a0", "b1", "c2", "d3")))
PATIENCE_S = 300
"""More than any job takes to get a GPU that is free, on a busy machine."""
IDS = ["GPU-a0", "GPU-b1", "GPU-c2", "GPU-d3"]
PARTS = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-a0)
  MIG 3g.20gb     Device  0: (UUID: MIG-1a-2b)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-a0/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-b1)
"""


class Held(NamedTuple):
    gpus: list[str]
    since: float
    until: float


class Job:
    """A process that leases GPUs and holds them for some seconds; for none, until it is killed or the tests have ended."""

    def __init__(self, resources, seconds, child, keeps):
        command = [sys.executable, "-c", JOB, json.dumps([resources, seconds, child, keeps])]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def leased(self) -> list[str]:
        """Its GPUs, as soon as it has them."""
        assert select.select([self.process.stdout], [], [], PATIENCE_S)[0]
        self.gpus, self.since, self.child = json.loads(self.process.stdout.readline())
        return self.gpus

    def waits(self) -> bool:
        """Whether it says that it waits, as soon as it says anything."""
        return "waiting for a free GPU" in self.process.stderr.readline()

    def still_waits(self) -> bool:
        """Whether nothing came of what has just happened."""
        return not select.select([self.process.stdout], [], [], 0.3)[0]

    def held(self) -> Held:
        """What it had and when, after its end."""
        return Held(self.leased(), self.since, json.loads(self.process.stdout.readline()))

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Callable[[str], None]:
    """A machine with four GPUs; called with other output of `nvidia-smi -L`, one with others."""

    def have(listed: str) -> None:
        (tmp_path / "listed").write_text(listed)

    have(FOUR)
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat {tmp_path}/listed\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PYTHONPATH", f"workflow/scripts{os.pathsep}{tmp_path}")
    # So that what a test leases itself is given back after it.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    kept: list[int] = []
    monkeypatch.setattr("loragrid.runtime.gpu_leases._leases", kept)
    yield have
    for file in kept:
        os.close(file)


@pytest.fixture
def start(machine) -> Callable[..., Job]:
    """Starts a job."""
    jobs: list[Job] = []

    def start(seconds=None, child=None, keeps=True, **resources):
        jobs.append(Job(resources, seconds, child, keeps))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()


def never_meet(jobs: list[Held]) -> bool:
    """Whether no GPU is held by two jobs at the same time."""
    return not any(set(a.gpus) & set(b.gpus) and a.since < b.until and b.since < a.until for a, b in combinations(jobs, 2))


def test_eight_jobs_take_turns_on_four_gpus_and_never_meet(start):
    held = [job.held() for job in [start(seconds=0.3) for _ in range(8)]]
    assert never_meet(held)
    assert {gpu for job in held for gpu in job.gpus} == set(IDS)
    assert all(len(job.gpus) == 1 for job in held)


def test_gpu_of_a_killed_job_goes_to_the_next_one_at_once(start):
    running = [start() for _ in range(4)]
    assert sorted(gpu for job in running for gpu in job.leased()) == IDS
    waiting = start()
    assert waiting.waits()
    os.kill(running[2].process.pid, signal.SIGKILL)
    killed = time.monotonic()
    assert waiting.leased() == running[2].gpus
    assert waiting.since - killed < 10


def test_jobs_share_a_gpu_only_where_asked_and_only_when_each_has_one(start):
    jobs = [start(jobs_per_gpu=2) for _ in range(4)]
    assert sorted(gpu for job in jobs for gpu in job.leased()) == IDS
    jobs = [start(jobs_per_gpu=2) for _ in range(4)]
    assert sorted(gpu for job in jobs for gpu in job.leased()) == IDS
    assert start(jobs_per_gpu=2).waits()


def test_job_that_does_not_share_never_meets_one_that_does(machine, start):
    machine(FOUR.splitlines()[0])
    sharing = start(jobs_per_gpu=2)
    assert sharing.leased() == ["GPU-a0"]
    alone = start()
    assert alone.waits()
    sharing.kill()
    assert alone.leased() == ["GPU-a0"]
    assert start(jobs_per_gpu=2).waits()


def test_jobs_that_want_several_gpus_never_wait_for_each_other(start):
    wanted = [2, 3, 2, 1, 4, 2, 3, 2]
    jobs = [start(seconds=0.1, gpu=gpus) for gpus in wanted]
    held = [job.held() for job in jobs]
    assert [len(job.gpus) for job in held] == wanted
    assert never_meet(held)


def test_job_that_wants_several_gpus_gets_them_before_those_that_come_later(start):
    running = [start() for _ in range(4)]
    for job in running:
        job.leased()
    large = start(gpu=2)
    assert large.waits()
    small = [start() for _ in range(3)]
    assert all(job.waits() for job in small)
    running[0].kill()
    # One is free, which each of the later ones could use.
    assert all(job.still_waits() for job in (large, *small))
    running[3].kill()
    assert sorted(large.leased()) == sorted(running[0].gpus + running[3].gpus)


def test_job_that_dies_in_line_holds_nobody_up(start):
    running = [start() for _ in range(4)]
    for job in running:
        job.leased()
    first = start(gpu=4)
    assert first.waits()
    second = start()
    assert second.waits()
    first.kill()
    running[1].kill()
    assert second.leased() == running[1].gpus


def test_child_that_uses_the_gpu_keeps_the_lease_of_a_killed_job(machine, start):
    machine(FOUR.splitlines()[0])
    job = start(child=["cat"])
    job.leased()
    job.kill()
    waiting = start()
    assert waiting.waits()
    os.kill(job.child, signal.SIGKILL)
    assert waiting.leased() == ["GPU-a0"]


def test_other_children_do_not_keep_it(machine, start):
    machine(FOUR.splitlines()[0])
    job = start(child=["cat"], keeps=False)
    job.leased()
    job.kill()
    try:
        assert start().leased() == ["GPU-a0"]
    finally:
        os.kill(job.child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_child_on_a_leash_ends_with_a_killed_job_and_so_does_the_lease(machine, start, tmp_path):
    machine(FOUR.splitlines()[0])
    (tmp_path / "sleeper.py").write_text("import sys\nassert sys.argv[1:] == ['60']\nprint('up', flush=True)\nsys.stdin.read()")
    job = start(child=[sys.executable, "-m", "loragrid.runtime.leash", "sleeper", "60"])
    job.leased()
    assert job.process.stdout.readline() == "up\n"
    job.kill()
    assert start().leased() == ["GPU-a0"]


def test_lock_files_that_dead_processes_left_are_no_obstacle(start, tmp_path):
    folder = tmp_path / f"loragrid-{os.getuid()}"
    folder.mkdir()
    for name in ("line", *IDS):
        (folder / f"{name}.lock").write_text("1234")
    assert len(start(gpu=4).leased()) == 4


def test_folder_of_another_user_is_a_sentence(machine, monkeypatch):
    mine = os.getuid()
    monkeypatch.setattr("os.getuid", lambda: mine + 1)
    with pytest.raises(UserError, match="belongs to another user; set TMPDIR"):
        lease_gpus({})


FOLDERS = [
    ("a file", lambda path: path.write_text(""), "is a file, not a folder; delete it, or set TMPDIR to a folder of your own"),
    (
        "a link",
        lambda path: path.symlink_to("elsewhere"),
        "is a link, not a folder; delete it, or set TMPDIR to a folder of your own",
    ),
    (
        "open to all",
        lambda path: [path.mkdir(), path.chmod(0o1777)],
        "can be written to by others (mode 1777, expected 700); delete it when no job runs",
    ),
    (
        "open to a group",
        lambda path: [path.mkdir(), path.chmod(0o770)],
        "can be written to by others (mode 770, expected 700); delete it when no job runs",
    ),
]


@pytest.mark.parametrize(("make", "said"), [row[1:] for row in FOLDERS], ids=[row[0] for row in FOLDERS])
def test_folder_where_others_could_put_locks_is_a_sentence(machine, tmp_path, make, said):
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / f"loragrid-{os.getuid()}"
    make(folder)
    with pytest.raises(UserError) as caught:
        lease_gpus({})
    assert str(caught.value) == f"{folder}: the folder for leases of GPUs {said}."
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_lock_that_is_a_link_is_a_sentence_and_makes_no_file_elsewhere(machine, tmp_path):
    folder = tmp_path / f"loragrid-{os.getuid()}"
    folder.mkdir(mode=0o700)
    (folder / "line.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"line.lock: this lock of a GPU cannot be opened \(Too many levels of symbolic links\)"):
        lease_gpus({})
    assert not (tmp_path / "elsewhere").exists()


def test_leased_gpus_are_the_only_ones_that_the_process_sees(machine):
    assert lease_gpus({"gpu": 2}) == IDS[:2]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a0,GPU-b1"
    # What has been handed out is not leased again.
    assert lease_gpus({}) == lease_gpus({"gpu": 4}) == []


def test_resource_without_a_value_means_one(machine):
    assert lease_gpus({"gpu": None, "jobs_per_gpu": None}) == ["GPU-a0"]


@pytest.mark.parametrize("resources", [{"jobs_per_gpu": 0}, {"gpu": -1}])
def test_numbers_that_no_job_could_wait_for_are_refused(machine, resources):
    with pytest.raises(UserError, match=r"resources gpu and jobs_per_gpu: expected at least 0 and 1, not"):
        lease_gpus(resources)


def test_job_that_wants_no_gpu_leases_and_sees_none(machine):
    assert lease_gpus({"gpu": 0}) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("given", "resources"),
    [("", {}), ("", {"gpu": 1}), ("1", {}), ("1", {"gpu": 1}), ("0,1", {}), ("0,1", {"gpu": 2}), ("9,7", {"gpu": 1})],
)
def test_gpus_that_something_else_hands_out_are_left_alone(machine, monkeypatch, given, resources):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert lease_gpus(resources) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == given


@pytest.mark.parametrize("given", ["1,3", "GPU-b1, GPU-d3", "GPU-b,GPU-d"])
def test_jobs_that_state_that_they_want_fewer_share_what_was_handed_out(start, monkeypatch, given):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    jobs = [start(gpu=1) for _ in range(2)]
    assert sorted(gpu for job in jobs for gpu in job.leased()) == ["GPU-b1", "GPU-d3"]
    assert start(gpu=1).waits()


def test_more_gpus_than_there_are_is_a_sentence(machine):
    with pytest.raises(UserError, match=r"5 GPUs are asked for .* has 4"):
        lease_gpus({"gpu": 5})


def test_machine_without_gpus_leases_none(machine):
    machine("")
    assert lease_gpus({"gpu": 2}) == []
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_parts_of_a_partitioned_gpu_are_leased_each_by_itself(machine, start):
    machine(PARTS)
    assert local_gpus() == ["MIG-1a-2b", "MIG-GPU-a0/2/0", "GPU-b1"]
    leased = [job.leased() for job in [start() for _ in range(3)]]
    assert sorted(leased) == [["GPU-b1"], ["MIG-1a-2b"], ["MIG-GPU-a0/2/0"]]
    with pytest.raises(UserError, match="only one part of partitioned GPUs"):
        lease_gpus({"gpu": 2})
