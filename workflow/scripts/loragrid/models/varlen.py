"""PyTorch's kernel for attention within each of several sequences in one row (`torch.nn.attention.varlen`).

It reads no more than the sequences themselves: no padding, no mask, and nothing is computed between sequences. Nothing else in
this library calls the kernel.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

NUMBER_TYPES = (torch.bfloat16, torch.float16)
"""What the kernel computes in."""

LARGEST_HEAD = 256
"""Numbers in a head, at most; it is a multiple of 8. The kernel refuses other heads (flash_api.cpp of PyTorch)."""


def can_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel computes here.

    Args:
        dtype: number type of query, key and value.
    """
    return not why_no_varlen(device, dtype)


def why_no_varlen(device: torch.device, dtype: torch.dtype) -> str:
    """Why the kernel does not compute here, as part of a sentence; empty if it does.

    Builds for AMD's GPUs call themselves CUDA, too. Their kernel is another one, which we never tried.
    """
    if device.type != "cuda" or torch.version.hip:
        return "the kernel for packed rows is one for NVIDIA's GPUs"
    if dtype not in NUMBER_TYPES:
        return f"the kernel for packed rows computes in bfloat16 and float16, not in {str(dtype).removeprefix('torch.')}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "the kernel for packed rows needs a GPU of compute capability 8.0 or higher"
    if not torch.backends.cuda.is_flash_attention_available() or not _is_there():
        return f"PyTorch {torch.__version__} comes without the kernel for packed rows"
    return ""


def fits_kernel(query: int, value: int) -> bool:
    """Whether the kernel computes heads of so many numbers, of the query and of the value."""
    return query == value <= LARGEST_HEAD and query % 8 == 0


@cache
def _is_there() -> bool:
    if importlib.util.find_spec("torch.nn.attention.varlen") is None:
        return False
    from torch.nn.attention.varlen import varlen_attn

    return "window_size" in _arguments(varlen_attn)


@cache
def _arguments(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def varlen(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    longest: int,
    scale: float | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """Causal attention within each sequence of a row. Nothing waits for the device.

    Args:
        query: shape (tokens, heads, size), of one of NUMBER_TYPES.
        key: shape (tokens, heads, size). It may have fewer heads, each for a group of the query's heads.
        value: the same.
        bounds: int32, shape (sequences + 1,): where each sequence starts, and where the last one ends. A sequence may be empty.
        longest: no sequence has more tokens.
        scale: factor of the scores; None: 1 / √size.
        window: how many tokens a token sees, from itself backwards; None: all.

    Returns:
        Shape (tokens, heads, size).
    """
    from torch.nn.attention.varlen import varlen_attn

    # The function of torch 2.11 takes grouped heads without being told.
    is_told = query.shape[1] > key.shape[1] and "enable_gqa" in _arguments(varlen_attn)
    more: dict[str, Any] = {"enable_gqa": True} if is_told else {}
    # The kernel counts the tokens before a token, without the token itself.
    before = -1 if window is None else window - 1
    attended = varlen_attn(query, key, value, bounds, bounds, longest, longest, scale=scale, window_size=(before, 0), **more)
    assert isinstance(attended, torch.Tensor)
    return attended
