"""Trained models on disk: adapters in peft's standard layout, whole models in the layout of transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from loragrid.errors import UserError
from loragrid.runtime.files import folder_written_whole, write_json
from loragrid.runtime.model_folders import archive_others

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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


def write_merged(
    base_folder: Path, trained: Path, card: Path, folder: Path, threads: int, named_files: Iterable[str] | None = None
) -> None:
    """Write the whole model that results from a run and its base model, with its card, completely or not at all.

    Args:
        trained: weights of the adapter, or of the model that full fine-tuning made.
        named_files: the files that rules name, if all other files of the folder are wanted in one archive.
    """
    torch.set_num_threads(threads)
    with folder_written_whole(folder) as temporary:
        merge(base_folder, trained, temporary)
        shutil.copy2(card, temporary / "README.md")
        if named_files is not None:
            archive_others(temporary, named_files)


def merge(base_folder: Path, trained: Path, folder: Path) -> None:
    """Write the base model with its adapter merged into it, or the result of full fine-tuning, in the base model's number type.

    Raises:
        UserError: if an adapter is no change of weights and cannot be merged.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    stored = AutoModelForCausalLM.from_pretrained(base_folder, dtype="auto", use_safetensors=True)
    number_type = stored.dtype
    if trained.name == "model.safetensors":
        model = AutoModelForCausalLM.from_pretrained(trained.parent, dtype=number_type, use_safetensors=True)
    else:
        # Added in float32, so that a sum is rounded once.
        adapted = PeftModel.from_pretrained(stored.float(), str(trained.parent))
        if learns_prompt(adapted):
            raise UserError(f"{trained.parent}: a learnt prompt is not a change of weights; there is nothing to merge.")
        model = adapted.merge_and_unload()
    model.config.name_or_path = ""
    save_model(model, AutoTokenizer.from_pretrained(base_folder), folder, number_type)


def _sorted(value: Any) -> Any:
    # peft holds names of modules in sets. Their order changes from process to process.
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return value


def learns_prompt(model: torch.nn.Module) -> bool:
    """Whether an adapter stands before the prompt, as virtual tokens."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


def virtual_tokens(model: torch.nn.Module) -> int:
    """How many virtual tokens an adapter places before the prompt."""
    return int(model.active_peft_config.num_virtual_tokens) if learns_prompt(model) else 0  # type: ignore[union-attr, arg-type]
