"""Which device computes, and in which number type."""

from __future__ import annotations

import torch


def pick_device() -> torch.device:
    """The first CUDA device, else Apple's GPU, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(setting: str, device: torch.device) -> torch.dtype:
    """The configured type; for `auto` bfloat16 on a CUDA device that computes in it, else float32.

    CPUs without matrix instructions for bfloat16 are several times slower in it than in float32.
    """
    if setting != "auto":
        dtype = getattr(torch, setting)
        assert isinstance(dtype, torch.dtype)
        return dtype
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def type_name(dtype: torch.dtype) -> str:
    """`torch.float32` as `float32`."""
    return str(dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    """The device's product name where it has one."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
