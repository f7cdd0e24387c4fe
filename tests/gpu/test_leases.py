"""Leases of the GPUs that are really there."""

import json
import os
import subprocess
import sys

import pytest
import torch

from loragrid.runtime.gpu_leases import local_gpus

JOB = """
import json, sys
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import show_log
show_log(sys.stderr)
leased = lease_gpus({"gpu": 1}, poll_s=0.05)
import torch
device = "cuda" if leased else "cpu"
seen = torch.cuda.device_count()
print(json.dumps([leased, seen, float(torch.ones(3, device=device).sum())]), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Starts a job that leases a GPU, computes on it and holds it until its input is closed."""
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": "workflow/scripts"}
    jobs = []

    def start():
        pipe = subprocess.PIPE
        jobs.append(
            subprocess.Popen([sys.executable, "-c", JOB], stdin=pipe, stdout=pipe, stderr=pipe, env=environment, text=True)
        )
        return jobs[-1]

    yield start
    for job in jobs:
        job.stdin.close()
        job.wait()
        job.stdout.close()
        job.stderr.close()


def test_job_sees_only_the_gpu_that_it_leased_and_computes_on_it(on_gpu, start):
    leased, seen, total = json.loads(start().stdout.readline())
    assert total == 3
    assert (len(leased), seen) == ((1, 1) if on_gpu else (0, torch.cuda.device_count()))


def test_jobs_take_turns_on_the_gpus_of_this_machine(on_gpu, start):
    number = len(local_gpus()) if on_gpu else 1
    jobs = [start() for _ in range(number)]
    held = [json.loads(job.stdout.readline())[0] for job in jobs]
    assert len({gpu for gpus in held for gpu in gpus}) == (number if on_gpu else 0)
    waiting = start()
    if on_gpu:
        assert "waiting for a free GPU" in waiting.stderr.readline()
    jobs[0].stdin.close()
    assert json.loads(waiting.stdout.readline())[0] == held[0]
