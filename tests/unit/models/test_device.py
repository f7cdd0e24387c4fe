import subprocess
import sys

import pytest
import torch

from loragrid.models.device import pick_dtype


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
from loragrid.models.device import keep_freed_memory
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


def test_tests_see_no_gpu_and_neither_do_processes_that_they_start():
    program = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'] == '')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "True\n"
    assert not torch.cuda.is_available()
