import os
import select
import subprocess
import sys

import pytest
import torch

from loragrid.devices import lease_gpus, pick_dtype
from loragrid.errors import UserError

HOLD = """
import sys, time
from loragrid.devices import lease_gpus
print(*lease_gpus({"gpu": int(sys.argv[1]), "jobs_per_gpu": int(sys.argv[2])}, poll_s=0.05), flush=True)
time.sleep(60)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose driver lists two GPUs."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("loragrid.devices._leases", [])
    monkeypatch.setenv("PYTHONPATH", "workflow/scripts")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    processes = []

    def start(gpu=1, jobs_per_gpu=1):
        command = [sys.executable, "-c", HOLD, str(gpu), str(jobs_per_gpu)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_jobs_at_the_same_time_get_different_gpus_and_the_next_one_waits_for_a_death(machine):
    first, second = machine(), machine()
    assert {first.stdout.readline().strip(), second.stdout.readline().strip()} == {"GPU-a", "GPU-b"}
    third = machine()
    assert not select.select([third.stdout], [], [], 4)[0]
    second.kill()
    assert third.stdout.readline().strip() in ("GPU-a", "GPU-b")


def test_a_job_can_have_several_gpus(machine):
    assert machine(gpu=2).stdout.readline().split() == ["GPU-a", "GPU-b"]


def test_jobs_share_a_gpu_only_where_asked_and_only_when_each_has_one(machine):
    leased = [machine(jobs_per_gpu=2).stdout.readline().strip() for _ in range(4)]
    assert leased == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]


def test_leased_gpus_are_the_only_ones_that_the_process_sees(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert lease_gpus({}) == ["GPU-a"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    # What has been handed out is not leased again.
    assert lease_gpus({"gpu": 2}) == []


def test_gpus_that_something_else_hands_out_are_left_alone(machine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert lease_gpus({}) == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_more_gpus_than_there_are_is_a_sentence(machine):
    with pytest.raises(UserError, match=r"3 GPUs are asked for .* has 2"):
        lease_gpus({"gpu": 3})


def test_a_job_that_wants_no_gpu_leases_none(machine):
    assert lease_gpus({"gpu": 0}) == []


def test_number_type_is_chosen_by_what_the_device_is_fast_at(monkeypatch):
    for has, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda has=has: {"amx_bf16": has})
        assert pick_dtype("auto", torch.device("cpu")) == expected
        monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation, has=has: has)
        assert pick_dtype("auto", torch.device("cuda")) == expected
    assert pick_dtype("float32", torch.device("cuda")) == torch.float32


def test_freed_memory_is_kept_for_the_next_tensors(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "workflow/scripts")
    allocate = """
import resource, sys, torch
from loragrid.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
faults = []
for _ in range(20):
    for size in range(10, 1, -1):
        torch.ones(size * 1_000_000)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[-6])
"""

    def page_faults(how):
        found = subprocess.run([sys.executable, "-c", allocate, how], capture_output=True, text=True, check=True)
        return int(found.stdout)

    by_default = page_faults("default")
    if by_default < 10_000:
        pytest.skip("this system's C library keeps freed memory by itself")
    assert page_faults("keep") < by_default / 5
