"""Saving and loading the state of an unfinished training, so that it goes on as if it had never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loragrid.patches.deepspeed_adam import repeat_powers
from loragrid.runtime.files import file_sha256, fingerprint, put_in_place, write_json, written_whole
from loragrid.runtime.states import set_aside

if TYPE_CHECKING:
    from accelerate import Accelerator

Weights = dict[str, torch.Tensor]

CHECKPOINT, PROGRESS = "checkpoint.safetensors", "progress.json"
SHARDED, BEFORE = "sharded", "sharded.before"
"""Folders of a checkpoint whose weights are spread over processes, and of the one before it, while it is replaced."""

COLUMNS = 7
"""Of a row of the loss curve."""


def trained_weights(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def is_sharded(accelerator: Accelerator) -> bool:
    """Whether no process holds all weights (FSDP, DeepSpeed)."""
    return accelerator.distributed_type.value in ("FSDP", "DEEPSPEED")


def save_checkpoint(
    folder: Path, accelerator: Accelerator, model: torch.nn.Module, optimizer: Any, progress: dict[str, Any], best: Weights
) -> None:
    """Write trained weights, optimiser state and progress, completely or not at all.

    Random states and the learning rate follow from the step, which `progress` holds. All processes must call it.

    Args:
        folder: the training's own state. Its name is a hash of all that decides on the result.
        best: the weights with the lowest validation loss, if they are to be kept.
    """
    if is_sharded(accelerator):
        _save_sharded(folder, accelerator, progress)
    elif accelerator.is_main_process:
        from safetensors.torch import save_file

        tensors = {f"weight {name}": p.detach() for name, p in trained_weights(model).items()}
        tensors |= {f"best {name}": weight for name, weight in best.items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer {index} {key}": value for key, value in state.items()}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        told = json.dumps(progress)
        metadata = {"progress": told, "state": folder.name, "sha256": _content(told, tensors.items())}
        with written_whole(folder / CHECKPOINT) as temporary:
            save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(
    folder: Path, accelerator: Accelerator, model: torch.nn.Module, optimizer: Any
) -> tuple[dict[str, Any], Weights] | None:
    """Put a checkpoint's state into model and optimiser.

    A checkpoint that is damaged, or that of another training, is set aside, before anything of it is taken.

    Returns:
        The progress and the best weights that were saved; None if there is no checkpoint to go on from.
    """
    if is_sharded(accelerator):
        return _load_sharded(folder, accelerator, optimizer)
    path = folder / CHECKPOINT
    if not os.path.lexists(path):
        return None
    from safetensors import SafetensorError, safe_open

    weights = trained_weights(model)
    try:
        progress = _refuse_damaged(path, weights)
    except (OSError, ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        if accelerator.is_main_process:
            set_aside(path, str(error))
        return None
    best: Weights = {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(path, framework="pt") as file, torch.no_grad():
        for key in file.keys():  # noqa: SIM118 - not a mapping
            role, _, name = key.partition(" ")
            if role == "weight":
                weights[name].copy_(file.get_tensor(key))
            elif role == "best":
                best[name] = file.get_tensor(key)
            else:
                index, _, what = name.partition(" ")
                states.setdefault(int(index), {})[what] = file.get_tensor(key)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    return progress, best


def _refuse_damaged(path: Path, weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The progress in a checkpoint that is whole, and that of this training.

    Args:
        weights: those that are trained.

    Raises:
        ValueError, KeyError, TypeError, OSError, SafetensorError: if it is not.
    """
    from safetensors import safe_open

    progress = checked_progress(path)
    with safe_open(path, framework="pt") as file:
        keys: list[str] = file.keys()
        if {key.removeprefix("weight ") for key in keys if key.startswith("weight ")} != weights.keys():
            raise ValueError("it has the weights of another model")
        for name, weight in weights.items():
            if tuple(file.get_slice(f"weight {name}").get_shape()) != tuple(weight.shape):
                raise ValueError(f"{name} has another shape")
    return progress


def checked_progress(path: Path) -> dict[str, Any]:
    """The progress in a checkpoint that is whole and in its own place.

    Checkpoints of earlier versions do not say whose they are, nor the hash of their content.

    Raises:
        ValueError, KeyError, TypeError, OSError, SafetensorError: if it is not.
    """
    from safetensors import safe_open

    if path.is_dir():
        raise ValueError("a folder instead of a file")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("state", path.parent.name) != path.parent.name:
            raise ValueError("it is the checkpoint of another training")
        content = _content(metadata["progress"], ((key, file.get_tensor(key)) for key in file.keys()))  # noqa: SIM118
    if metadata.get("sha256", content) != content:
        raise ValueError("its content has another hash than when it was written")
    return parse_progress(metadata["progress"])


def parse_progress(text: str) -> dict[str, Any]:
    """How far a training has come, as a checkpoint holds it.

    Raises:
        ValueError: if it is not as it was written.
    """
    progress = json.loads(text)
    if not isinstance(progress, dict) or not {"course", "best_loss", "without_gain"} <= progress.keys():
        raise ValueError("its progress lacks the loss curve")
    course = progress["course"]
    if not isinstance(course, list) or not course or not all(isinstance(row, list) and len(row) == COLUMNS for row in course):
        raise ValueError("its loss curve lacks rows or columns")
    return progress


def _content(progress: str, tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """A hash of all that a checkpoint holds."""
    hashes = {name: hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().data).hexdigest() for name, tensor in tensors}
    return fingerprint([progress, hashes])


def _save_sharded(folder: Path, accelerator: Accelerator, progress: dict[str, Any]) -> None:
    partial, before = folder / ".sharded.partial", folder / BEFORE
    accelerator.save_state(str(partial), exclude_frozen_parameters=True)
    accelerator.wait_for_everyone()
    hashes = _hashed_by_all(partial, accelerator)
    if accelerator.is_main_process:
        write_json(partial / PROGRESS, progress | {"state": folder.name, "files": hashes})
        shutil.rmtree(before, ignore_errors=True)
        if (folder / SHARDED).exists():
            os.replace(folder / SHARDED, before)
        put_in_place(partial, folder / SHARDED)
        shutil.rmtree(before, ignore_errors=True)
    accelerator.wait_for_everyone()


def _load_sharded(folder: Path, accelerator: Accelerator, optimizer: Any) -> tuple[dict[str, Any], Weights] | None:
    sharded, before = folder / SHARDED, folder / BEFORE
    if accelerator.is_main_process and before.exists() and not sharded.exists():
        # The job was killed just between the two.
        os.replace(before, sharded)
    accelerator.wait_for_everyone()
    if not sharded.exists():
        return None
    hashes, why, progress = _hashed_by_all(sharded, accelerator), "", {}
    try:
        text = (sharded / PROGRESS).read_text(encoding="utf-8")
        progress = parse_progress(text)
        if progress.get("state", folder.name) != folder.name:
            why = "it is the checkpoint of another training"
        elif progress.get("files", hashes) != hashes:
            why = "its files have other hashes than when they were written"
    except (OSError, ValueError, TypeError, RecursionError) as error:
        why = str(error)
    # All have read the same before one renames it.
    accelerator.wait_for_everyone()
    if why:
        if accelerator.is_main_process:
            set_aside(sharded, why)
        return None
    accelerator.load_state(str(sharded), load_module_strict=False)
    repeat_powers(optimizer)
    return progress, {}


def _hashed_by_all(folder: Path, accelerator: Accelerator) -> dict[str, str]:
    """The hashes of all files of a sharded checkpoint, by name. Each process hashes a part of them."""
    from accelerate.utils import gather_object

    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / PROGRESS)
    own = files[accelerator.process_index :: accelerator.num_processes]
    return dict(sorted(gather_object([(path.relative_to(folder).as_posix(), file_sha256(path)) for path in own])))
