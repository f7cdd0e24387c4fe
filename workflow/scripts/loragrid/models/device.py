"""The device that a job computes on, and its number types."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


ALSO_COMPUTING = (
    "bitsandbytes", "causal-conv1d", "deepspeed", "flash-attn", "flash-linear-attention", "gptqmodel", "kernels", "liger-kernel",
    "mamba-ssm", "tokenizers",
)  # fmt: skip
"""Packages that change what a model computes, or how it is rounded, wherever they are installed."""


def may_see_gpu() -> bool:
    """Whether a process may see a GPU of NVIDIA, found out without torch."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (given is None or given.strip() not in ("", "-1")) and Path("/dev/nvidiactl").exists()


def pick_device() -> torch.device:
    """The first CUDA device, else Apple's GPU, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed tensors for new tensors.

    Otherwise it gives large tensors back to the system, which then clears their memory anew, page by page, for every pass.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
        library.mallopt(trim_threshold, 2**31 - 1)
        library.mallopt(mmap_max, 0)


def free_cached_memory() -> None:
    """Give the memory of freed tensors back to the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def free_gpu_memory() -> None:
    """Free the memory of what nothing needs on a GPU of CUDA. Models, and what was recorded of them, refer to themselves."""
    import torch

    if torch.cuda.is_available():
        # To look for all that takes a third of a second.
        gc.collect()
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the device has run out."""
    import torch

    # CPUs and Apple's GPUs tell it only by the message.
    said = ("out of memory", "not enough memory", "can't allocate memory")
    by_message = isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    return isinstance(error, torch.OutOfMemoryError) or by_message


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those while whose handling it came: where memory runs out in a recording, its end fails too."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def room_of(device: torch.device) -> int:
    """Bytes on a GPU that are free, or that this process holds: all that it can use."""
    import torch

    return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))


def end_recording(device: torch.device, pool: Any) -> None:
    """Let memory be freed again after a recording of a CUDA graph failed.

    Up to torch 2.12, a failed recording leaves the allocator believing that it goes on (pytorch pull request 180395).
    """
    import torch

    with contextlib.suppress(RuntimeError, AttributeError):
        torch._C._cuda_endAllocateToPool(device.index if device.index is not None else torch.cuda.current_device(), pool)


def memory_of(device: torch.device) -> str:
    """A device and how much memory it has, for messages, such as `NVIDIA H200 (139.8 GiB)`."""
    import torch

    if device.type != "cuda":
        return device_name(device)
    return f"{device_name(device)} ({torch.cuda.get_device_properties(device).total_memory / 2**30:.1f} GiB)"


def pick_dtype(setting: str, device: torch.device) -> torch.dtype:
    """The configured type. For `auto`: bfloat16 on a device with matrix instructions for it, else float32.

    Other GPUs only emulate bfloat16, and other CPUs are several times slower in it than in float32.
    """
    import torch

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
    """The device's product name, if it has one."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
