"""Models from disk onto a device, with their adapters."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from loragrid.errors import UserError
from loragrid.models.adapters import load_adapter
from loragrid.models.device import is_out_of_memory, memory_of, pick_device, pick_dtype
from loragrid.models.weights import ENCODER, Accepted, load_weights, refuse_numbers_that_are_none
from loragrid.patches.torch_builds import end_builds_with_their_process
from loragrid.patches.transformers_dynamic_rope import forget_longest_sequence
from loragrid.runtime.pretrained import load_sentence_transformer, read_settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class LoadBase(Protocol):
    """What gives a base model: `load_base_model`, or what keeps weights in memory for several pieces of work (models/kept.py)."""

    def __call__(
        self,
        folder: str | Path,
        dtype: str,
        quantization: str = "none",
        device: torch.device | None = None,
        *,
        to_change: bool = False,
    ) -> PreTrainedModel:
        """A base model that nobody else uses.

        Args:
            to_change: whether the work may change its weights. It then has weights of its own.
        """


def load_base_model(
    folder: str | Path,
    dtype: str,
    quantization: str = "none",
    device: torch.device | None = None,
    *,
    to_change: bool = False,
) -> PreTrainedModel:
    """Load a model folder onto a device, in the configured number type.

    Args:
        quantization: `4bit` or `8bit` for the weights of linear layers, else `none`. Weights that are stored quantized stay so.
        device: by default the device that computes here.
        to_change: whether the weights may be changed. It makes no difference here: nobody else has them (models/kept.py).

    Raises:
        UserError: if the weights cannot be quantized here, a package that they need is missing, the files are not those of
            the model, or the memory is too small for it.
    """
    from transformers import AutoModelForCausalLM

    device = device or pick_device()
    number_type = pick_dtype(dtype, device)
    more: dict[str, Any] = {}
    if stored := stored_quantization(folder):
        end_builds_with_their_process()
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
    # Methods of quantizing keep numbers of their own beside the weights.
    accepted = Accepted(surplus=stored is not None)
    try:
        model = load_weights(AutoModelForCausalLM, Path(folder), accepted, dtype=number_type, **more)
        on_device: PreTrainedModel = model if more else model.to(device)
    except ImportError as error:
        raise UserError(f"{folder}: the weights, stored as {stored or 'usual'}, need another package: {error}") from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        hint = "set quantization: 4bit, or " if quantization == "none" and not stored else ""
        raise UserError(
            f"{folder}: the model does not fit into the free memory of {memory_of(device)}; {hint}take a smaller model or a "
            f"device with more memory, and see that nothing else uses it."
        ) from error
    forget_longest_sequence(on_device)
    return on_device.eval()


def stored_quantization(folder: str | Path) -> str | None:
    """The method by which a model folder's weights are stored quantized, such as `gptq`; None for plain weights."""
    path = Path(folder) / "config.json"
    settings = read_settings(path).get("quantization_config")
    if settings is not None and not isinstance(settings, dict):
        raise UserError(f"{path}: quantization_config is {settings!r}; expected an object with quant_method.")
    return None if settings is None else str(settings.get("quant_method", "unknown"))


def _quantization_config(quantization: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def load_trained(base: PreTrainedModel | None, trained: Path | None, dtype: str) -> torch.nn.Module:
    """The model to ask: the base model itself, the base model with an adapter, or the result of full fine-tuning.

    An adapter is not merged: merging would change results a little.

    Args:
        base: the base model. A whole model needs none.
        trained: weights of an adapter in peft's layout, or of a whole model in the layout of transformers.
    """
    if trained is not None and trained.name == "model.safetensors":
        whole: torch.nn.Module = load_base_model(trained.parent, dtype)
        return whole
    assert base is not None
    if trained is None:
        plain: torch.nn.Module = base
        return plain
    adapted: torch.nn.Module = load_adapter(base, trained.parent)
    return adapted.eval()


def load_sentence_encoder(folder: Path) -> SentenceTransformer:
    """Load an encoder by the library `sentence-transformers`, onto the device that it chooses.

    Raises:
        UserError: if its files are not those of the model.
    """
    from transformers import PreTrainedModel

    encoder = load_sentence_transformer(folder)
    # The library does not tell what it found. Without their content, weights are compared in no time.
    for model in [module for module in encoder.modules() if isinstance(module, PreTrainedModel)][:1]:
        load_weights(type(model), folder, ENCODER, device_map="meta")
        refuse_numbers_that_are_none(folder, model)
    return encoder


def padding_id(model: Any, preferred: int) -> int:
    """The id that fills up batches. It is masked, so that any id will do for which the model has an embedding.

    Args:
        preferred: what the tokenizer fills up with. Some tokenizers got this token later than their model.
    """
    return preferred if 0 <= preferred < model.config.get_text_config().vocab_size else 0


def refuse_ids_without_embedding(model: Any, tokenizer: PreTrainedTokenizerBase, sequences: Iterable[Sequence[int]]) -> None:
    """Refuse token ids for which a model has no embedding.

    Raises:
        UserError: naming the token.
    """
    rows = model.config.get_text_config().vocab_size
    highest = max((max(ids, default=0) for ids in sequences), default=0)
    if highest >= rows:
        raise UserError(
            f"the tokenizer's token {tokenizer.convert_ids_to_tokens(highest)!r} has the id {highest}, but the model has "
            f"embeddings of {rows} tokens only: this tokenizer belongs to another model, or got tokens that the model did not."
        )
