"""Which device computes, in which number type, and whose turn it is on a GPU."""

from __future__ import annotations

import ctypes
import fcntl
import getpass
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from loragrid.errors import UserError
from loragrid.job import log

_leases: list[IO[str]] = []
"""Open lock files: a lease ends with the process that holds it, however it ends."""


def local_gpus() -> list[str]:
    """Ids of this machine's NVIDIA GPUs, without waking any of them."""
    try:
        asked = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return []


def lease_gpus(resources: Mapping[str, Any], poll_s: float = 5) -> list[str]:
    """Wait until as many GPUs are free and keep them until this process ends; other jobs keep away from them.

    Where something else hands out GPUs (`CUDA_VISIBLE_DEVICES` is set, as Slurm does), and where there are none, nothing is
    leased. Locks are files in the system's folder for temporary files, so that all workflows of a user respect them.

    Args:
        resources: of the job: `gpu`, how many it wants, and `jobs_per_gpu`, how many jobs may share one; by default 1.

    Returns:
        The ids of the leased GPUs.

    Raises:
        UserError: where the machine has fewer GPUs than are wanted.
    """
    wanted, jobs_per_gpu = resources.get("gpu", 1), resources.get("jobs_per_gpu", 1)
    gpus = local_gpus() if "CUDA_VISIBLE_DEVICES" not in os.environ else []
    if not gpus or not wanted:
        return []
    if wanted > len(gpus):
        raise UserError(f"{wanted} GPUs are asked for (resource gpu), but this machine has {len(gpus)}.")
    folder = Path(tempfile.gettempdir()) / f"loragrid-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while True:
        leased: dict[str, IO[str]] = {}
        # Turn by turn, so that a second job on a GPU comes only when each has one.
        for turn in range(jobs_per_gpu):
            for gpu in gpus:
                if len(leased) < wanted and gpu not in leased and (lock := _try_lock(folder / f"{gpu}-{turn}.lock")):
                    leased[gpu] = lock
        if len(leased) == wanted:
            _leases.extend(leased.values())
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(leased)
            log.info("leased GPU %s", ", ".join(leased))
            return list(leased)
        for lock in leased.values():
            lock.close()
        if not waiting:
            log.info("waiting for a free GPU: other jobs hold them")
            waiting = True
        time.sleep(poll_s)


def _try_lock(path: Path) -> IO[str] | None:
    file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - stays open as long as the lease
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def pick_device() -> torch.device:
    """The first CUDA device, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def keep_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones.

    Otherwise it gives large tensors back to the system, which then clears their memory anew, page by page, for every pass.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_max, 0)


def free_cached_memory() -> None:
    """Give the memory of freed tensors on a GPU back to it."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def pick_dtype(setting: str, device: torch.device) -> torch.dtype:
    """The configured type; for `auto` bfloat16 on a device with matrix instructions for it, else float32.

    Other GPUs only emulate bfloat16, and other CPUs are several times slower in it than in float32.
    """
    if setting != "auto":
        dtype = getattr(torch, setting)
        assert isinstance(dtype, torch.dtype)
        return dtype
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
    return torch.bfloat16 if fast else torch.float32


def type_name(dtype: torch.dtype) -> str:
    """`torch.float32` as `float32`."""
    return str(dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    """The device's product name where it has one."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
