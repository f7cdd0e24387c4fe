"""Models from disk onto a device, with their adapters."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from loragrid.errors import UserError
from loragrid.models.device import pick_device, pick_dtype
from loragrid.patches.transformers_dynamic_rope import forget_longest_sequence

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_base_model(
    folder: str | Path,
    dtype: str,
    quantization: str = "none",
    device: torch.device | None = None,
) -> PreTrainedModel:
    """Load a model folder onto a device, in the configured number type.

    Args:
        quantization: `4bit` or `8bit` for the weights of linear layers, else `none`. Weights that are stored quantized stay so.
        device: by default the device that computes here.

    Raises:
        UserError: if the weights cannot be quantized here, or a package that they need is missing.
    """
    from transformers import AutoModelForCausalLM

    device = device or pick_device()
    number_type = pick_dtype(dtype, device)
    more: dict[str, Any] = {}
    if stored := stored_quantization(folder):
        more = {"device_map": {"": device}}
        if quantization != "none":
            raise UserError(
                f"{folder}: quantization: {quantization} is not possible, the weights are stored as {stored} already."
            )
    elif quantization != "none":
        if importlib.util.find_spec("bitsandbytes") is None:
            raise UserError(
                f"quantization: {quantization} needs the package bitsandbytes: .venv/bin/python -m pip install bitsandbytes"
            )
        more = {"quantization_config": _quantization_config(quantization, number_type), "device_map": {"": device}}
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=number_type, use_safetensors=True, **more)
    except ImportError as error:
        raise UserError(f"{folder}: the weights, stored as {stored or 'usual'}, need another package: {error}") from error
    forget_longest_sequence(model)
    return (model if more else model.to(device)).eval()


def stored_quantization(folder: str | Path) -> str | None:
    """The method by which a model folder's weights are stored quantized, such as `gptq`; None for plain weights."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    settings = config.get("quantization_config")
    return None if settings is None else str(settings.get("quant_method", "unknown"))


def _quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def load_trained(base: PreTrainedModel, trained: Path | None, dtype: str) -> torch.nn.Module:
    """The model to ask: the base model itself, the base model with an adapter, or the result of full fine-tuning.

    An adapter is not merged: merging would change results a little.

    Args:
        trained: weights of an adapter in peft's layout, or of a whole model in the layout of transformers.
    """
    if trained is None:
        plain: torch.nn.Module = base
        return plain
    if trained.name == "model.safetensors":
        whole: torch.nn.Module = load_base_model(trained.parent, dtype)
        return whole
    from peft import PeftModel

    adapted: torch.nn.Module = PeftModel.from_pretrained(base, str(trained.parent))
    return adapted.eval()
