"""Saving and loading the state of an unfinished training, so that it goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loragrid.patches.deepspeed_adam import repeat_powers
from loragrid.runtime.files import write_json, written_whole

if TYPE_CHECKING:
    from accelerate import Accelerator

Weights = dict[str, torch.Tensor]


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
        best: the weights with the lowest validation loss, if they are to be kept.
    """
    if is_sharded(accelerator):
        partial = folder / ".sharded.partial"
        accelerator.save_state(str(partial), exclude_frozen_parameters=True)
        if accelerator.is_main_process:
            write_json(partial / "progress.json", progress)
            shutil.rmtree(folder / "sharded", ignore_errors=True)
            os.replace(partial, folder / "sharded")
        accelerator.wait_for_everyone()
    elif accelerator.is_main_process:
        from safetensors.torch import save_file

        tensors = {f"weight {name}": p.detach() for name, p in trained_weights(model).items()}
        tensors |= {f"best {name}": weight for name, weight in best.items()}
        for index, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer {index} {key}": value for key, value in state.items()}
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        with written_whole(folder / "checkpoint.safetensors") as temporary:
            save_file(tensors, temporary, metadata={"progress": json.dumps(progress)})


def load_checkpoint(
    folder: Path, accelerator: Accelerator, model: torch.nn.Module, optimizer: Any
) -> tuple[dict[str, Any], Weights] | None:
    """Put a checkpoint's state into model and optimiser.

    Returns:
        The progress and the best weights that were saved; None if there is no checkpoint.
    """
    if is_sharded(accelerator):
        if not (folder / "sharded" / "progress.json").exists():
            return None
        accelerator.load_state(str(folder / "sharded"), load_module_strict=False)
        repeat_powers(optimizer)
        return json.loads((folder / "sharded" / "progress.json").read_text(encoding="utf-8")), {}
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    from safetensors import safe_open

    best: Weights = {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    weights = trained_weights(model)
    with safe_open(path, framework="pt") as file, torch.no_grad():
        progress = json.loads(file.metadata()["progress"])
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
