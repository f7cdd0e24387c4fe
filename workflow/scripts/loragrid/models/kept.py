"""One base model stays in memory for several pieces of work. Each gets a model of its own, and all share the weights.

What work does to a model, it does to its modules: adapters, hooks, another attention, gradients that are wanted or not. So each
piece of work gets a copy of the modules and of all settings, and only the numbers of the weights are the same memory.
"""

from __future__ import annotations

import copy
import gc
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.device import free_cached_memory, pick_device, pick_dtype
from loragrid.models.loading import LoadBase, load_base_model, stored_quantization
from loragrid.runtime.job import log

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _Source(NamedTuple):
    """What a model was loaded from, and how. Two models of the same source are the same."""

    folder: Path
    files: frozenset[tuple[str, int, int, int]]
    """Name, size, time of change and number of each file of the folder."""
    dtype: torch.dtype
    device: torch.device


class _Kept(NamedTuple):
    """A model that no work gets itself: only copies of it."""

    source: _Source
    model: PreTrainedModel
    content: list[int]
    """What its weights add up to."""


@contextmanager
def kept_base() -> Iterator[LoadBase]:
    """Keep the base model that was loaded last, for the pieces of work of one process, one after another.

    What is loaded again from the same files, in the same number type and onto the same device, shares the weights in memory.
    Work that may change weights, and weights that are quantized, are loaded from disk each time; nothing is kept beside them.

    The weights must be what they were when they were loaded. Else they are loaded again, and the log tells it.
    """
    kept: _Kept | None = None
    has_loaded = False

    def load(
        folder: str | Path,
        dtype: str,
        quantization: str = "none",
        device: torch.device | None = None,
        *,
        to_change: bool = False,
    ) -> PreTrainedModel:
        nonlocal kept, has_loaded
        device = device or pick_device()
        is_own = to_change or quantization != "none" or bool(stored_quantization(folder))
        source = None if is_own else _Source(Path(folder).resolve(), _files_of(Path(folder)), pick_dtype(dtype, device), device)
        if kept and _is_still(kept, source) and (copied := _copy(kept.model)):
            return copied
        kept = None
        if has_loaded:
            _free_memory()
        model, has_loaded = load_base_model(folder, dtype, quantization, device), True
        if source and (copied := _copy(model)):
            kept = _Kept(source, model, _content(model))
            return copied
        return model

    try:
        yield load
    finally:
        kept = None


def _free_memory() -> None:
    """Free the memory of models that nothing needs. They refer to themselves: by hooks, and by adapters."""
    gc.collect()
    free_cached_memory()


def _files_of(folder: Path) -> frozenset[tuple[str, int, int, int]]:
    found = [(path.name, path.stat()) for path in folder.iterdir() if path.is_file()]
    return frozenset((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in found)


def _is_still(kept: _Kept, source: _Source | None) -> bool:
    """Whether a model that is kept is what loading from a source would give."""
    if kept.source != source:
        return False
    if _content(kept.model) != kept.content:
        log.info("the base model's weights in memory have been changed; they are loaded again")
        return False
    return True


def _content(model: PreTrainedModel) -> list[int]:
    """What the numbers of each weight add up to, read as whole numbers: adding these does not round."""
    sums = [_whole_numbers(weight.detach()).sum(dtype=torch.int64) for weight in model.parameters()]
    found: list[int] = torch.stack(sums).tolist()
    return found


def _whole_numbers(weight: torch.Tensor) -> torch.Tensor:
    row = weight.reshape(-1)
    # Additions of the widest type are several times quicker.
    if row.numel() * row.element_size() % 8 == 0:
        return row.view(torch.int64)
    return row.view({1: torch.int8, 2: torch.int16, 4: torch.int32}[row.element_size()])


def _copy(model: PreTrainedModel) -> PreTrainedModel | None:
    """A model of its own with the same weights in memory; None if a part of it would still be a part of the other.

    The copy has parameters of its own: each with its own gradient, and its own way to another place or number type.
    """
    shared = {id(weight): torch.nn.Parameter(weight.detach(), weight.requires_grad) for weight in model.parameters()}
    try:
        copied = copy.deepcopy(model, dict[int, Any](shared))
    except (TypeError, RuntimeError, AttributeError) as error:
        log.info("the base model is not kept in memory: it cannot be copied (%s)", error)
        return None
    if any(map(_is_bound_elsewhere, copied.modules())):
        log.info("the base model is not kept in memory: its modules know each other in a way that is not copied")
        return None
    return copied


def _is_bound_elsewhere(module: torch.nn.Module) -> bool:
    """Whether a copied module has a function that remembers a module or a tensor: that one was not copied along."""
    values = list(vars(module).values())
    for value in list(values):
        values += value.values() if isinstance(value, dict) else []
    return any(isinstance(one, torch.nn.Module | torch.Tensor) for value in values for one in _remembered(value))


def _remembered(value: Any) -> list[Any]:
    """What a function remembers from where it was made; nothing if the value is no function."""
    if not isinstance(value, FunctionType):
        return []
    try:
        return list(inspect.getclosurevars(value).nonlocals.values())
    except ValueError:
        # A variable without a value yet.
        return []
