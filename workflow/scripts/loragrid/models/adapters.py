"""Trained models on disk: adapters in peft's standard layout, whole models in the layout of transformers."""

from __future__ import annotations

import contextlib
import copy
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from loragrid.errors import UserError
from loragrid.models.weights import refuse_lfs_pointers, refuse_numbers_that_are_none, some
from loragrid.runtime.files import write_json
from loragrid.runtime.job import log
from loragrid.runtime.manifests import refuse_damaged_model
from loragrid.runtime.pretrained import load_peft, unreadable

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SavedStart:
    """The adapter before training, kept where its initialisation changed the base model's weights."""

    def __init__(self, model: Any):
        self._folder = TemporaryDirectory()
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(self.path)

    @property
    def path(self) -> str:
        return self._folder.name


def save_adapter(model: Any, folder: Path, start: SavedStart | None = None, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, the same bytes for the same adapter.

    Args:
        start: the adapter before training, if its initialisation changed the base model's weights. The difference is saved
            then: an adapter of twice the rank for the unchanged base model.
        state: the weights, if the model does not hold all of them itself.
    """
    more: dict[str, Any] = {"path_initial_model_for_weight_conversion": start.path} if start else {}
    model.save_pretrained(str(folder), state_dict=state, **more)
    # The model card that peft writes is an empty form.
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    write_json(path, _sorted(json.loads(path.read_text(encoding="utf-8"))))


def name_base_model(adapter_config: Path, folder: Path, name: str) -> None:
    """Let an adapter name its base model in another way than by the folder from which it was loaded."""
    settings = json.loads(adapter_config.read_text(encoding="utf-8"))
    write_json(adapter_config, {key: name if value == str(folder) else value for key, value in settings.items()})


def save_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    dtype: torch.dtype,
    state: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write a whole model with its tokenizer, as one safetensors file in the given number type."""
    state = state or model.state_dict()
    narrowed = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    model.config.dtype = dtype
    model.save_pretrained(str(folder), state_dict=narrowed, max_shard_size="1000TB")
    tokenizer.save_pretrained(str(folder))


def load_adapter(base: PreTrainedModel, folder: str | Path, is_trainable: bool = False) -> PeftModel:
    """A base model with an adapter in peft's layout, all of whose weights come from its file.

    Raises:
        UserError: naming the folder, if the adapter does not fit the model; naming the file, if it is not as it was written.
    """
    from safetensors import SafetensorError

    folder = Path(folder)
    refuse_lfs_pointers(folder)
    refuse_damaged_model(folder, ["adapter_model.safetensors", "adapter_config.json"])
    try:
        adapted, found = load_peft(base, folder, is_trainable)
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        log.info("%s cannot be loaded", folder, exc_info=error)
        raise UserError(unreadable(folder, "adapter", error)) from error
    # A learnt prompt is no part of the model; it is loaded apart, and strictly.
    unknown = [] if learns_prompt(adapted) else found.unexpected_keys
    wrong = [
        *([f"has no weights for {some(found.missing_keys)}"] if found.missing_keys else []),
        *([f"has weights for which the model has no place: {some(unknown)}"] if unknown else []),
    ]
    if wrong:
        raise UserError(f"{folder}: this adapter {', and '.join(wrong)}; it was made for another model, or by other names.")
    refuse_numbers_that_are_none(folder, adapted)
    return adapted


def _sorted(value: Any) -> Any:
    # peft holds names of modules in sets. Their order changes from process to process.
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value


def fused_experts(model: torch.nn.Module) -> list[str]:
    """The weights of all experts of a layer that are one tensor: their names within a layer.

    peft's `all-linear` means modules. Such a tensor is no linear layer's, but belongs to a module of its own.
    """
    names = {
        f"{module_name}.{name}"
        for module_name, module in model.named_modules()
        for name, weight in module.named_parameters(recurse=False)
        if len(getattr(weight, "ds_shape", weight.shape)) == 3 and "expert" in f"{module_name} {type(module).__name__}".lower()
    }
    return sorted({re.sub(r"^.*\.\d+\.", "", name) for name in names})


def target_experts(config: Any, model: torch.nn.Module) -> None:
    """Let a configuration of peft that adapts all linear layers adapt fused experts too, where peft can."""
    from peft import LoraConfig
    from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers

    if getattr(config, "target_modules", None) != "all-linear" or not (fused := fused_experts(model)):
        return
    # For some types of models peft adapts them by itself.
    by_peft = copy.deepcopy(config)
    convert_peft_config_for_transformers(by_peft, model, None)
    left = _not_among(fused, getattr(by_peft, "target_parameters", None))
    plain = isinstance(config, LoraConfig) and config.init_lora_weights in (True, False, "gaussian", "orthogonal")
    if left and plain and config.target_parameters is None and not (config.lora_dropout or config.use_dora or config.lora_bias):
        config.target_parameters = left
    elif left:
        log.info("target_modules: all-linear leaves out fused experts, which this method cannot adapt: %s", ", ".join(left))


def experts_left_out(adapted: Any) -> list[str]:
    """The fused experts of a model with an adapter that the adapter does not change."""
    fused = {name.replace(".base_layer", "") for name in fused_experts(adapted)}
    return _not_among(sorted(fused), getattr(adapted.peft_config["default"], "target_parameters", None))


def _not_among(fused: Iterable[str], target_parameters: Iterable[str] | None) -> list[str]:
    """The fused weights that are none of the parameters that an adapter targets by name."""
    targets = tuple(f".{target}" for target in target_parameters or ())
    return [name for name in fused if not f".{name}".endswith(targets)] if targets else list(fused)


@contextlib.contextmanager
def own_number_types(model: torch.nn.Module) -> Iterator[None]:
    """Let inputs of an adapter's layers keep their number type, where peft would turn them to that of the adapter.

    peft's own `disable_input_dtype_casting` fails at layers of methods that never turn inputs: they have no such switch.
    """
    modules: Iterator[Any] = model.modules()
    switched = [module for module in modules if getattr(module, "cast_input_dtype_enabled", False) is True]
    for module in switched:
        module.cast_input_dtype_enabled = False
    try:
        yield
    finally:
        for module in switched:
            module.cast_input_dtype_enabled = True


def learns_prompt(model: torch.nn.Module) -> bool:
    """Whether an adapter stands before the prompt, as virtual tokens."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


def is_recordable(model: Any) -> bool:
    """Whether a model's adapter, if it has one, computes the same operators each time and never waits for the device.

    Only then a CUDA graph can stand for it. Plain and weight-decomposed LoRA do; of other methods of peft, some solve equations
    or look at numbers on the way.
    """
    configs = getattr(model, "peft_config", {}).values()
    return all(
        getattr(config.peft_type, "value", config.peft_type) == "LORA" and not getattr(config, "trainable_token_indices", None)
        for config in configs
    )


def virtual_tokens(model: torch.nn.Module) -> int:
    """How many virtual tokens an adapter places before the prompt."""
    return int(model.active_peft_config.num_virtual_tokens) if learns_prompt(model) else 0  # type: ignore[union-attr, arg-type]
