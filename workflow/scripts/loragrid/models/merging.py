"""Base models with their adapters merged into them, compared with the adapters themselves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.errors import UserError
from loragrid.models.adapters import learns_prompt, load_adapter, save_model
from loragrid.models.device import type_name
from loragrid.models.importing import write_model_manifest
from loragrid.models.usage import Base, asking_of, ship_format, usage, with_usage
from loragrid.models.weights import load_weights
from loragrid.runtime.files import folder_written_whole, write_json
from loragrid.runtime.job import circumstances, log, versions
from loragrid.runtime.manifests import read_json, refuse_damaged_model
from loragrid.runtime.model_folders import archive_others
from loragrid.runtime.pretrained import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from loragrid.data.asking import Asking


def write_merged(
    base_folder: Path,
    trained: Path,
    manifest: Path,
    card: Path,
    folder: Path,
    threads: int,
    named_files: Iterable[str] | None = None,
) -> None:
    """Write the whole model that results from a run and its base model, with its card, completely or not at all.

    It comes with a chat template that writes the prompts of its training, or with none.

    Args:
        trained: weights of the adapter, or of the model that full fine-tuning made.
        manifest: of the training.
        card: of the adapter.
        named_files: the files that rules name, if all other files of the folder are wanted in one archive.
    """
    torch.set_num_threads(threads)
    with folder_written_whole(folder) as temporary:
        asked, tokenizer = _merge_to_ask(base_folder, trained, manifest, temporary)
        lines = usage("whole", asked, read_json(manifest)["hardware"]["dtype"], Base("."), tokenizer.chat_template)
        (temporary / "README.md").write_text(with_usage(card.read_text(encoding="utf-8"), lines), encoding="utf-8")
        if named_files is not None:
            archive_others(temporary, named_files)


def import_merged(
    facts: Mapping[str, Any],
    base_folder: Path,
    trained: Path,
    manifest: Path,
    folder: Path,
    threads: int,
    named_files: Iterable[str] | None = None,
) -> None:
    """Make a base model of a run and its own base model, in the layout of imported models, completely or not at all.

    Args:
        facts: what its manifest says besides how it was made.
        trained, manifest, named_files: as in `write_merged`.
    """
    started = time.perf_counter()
    torch.set_num_threads(threads)
    with folder_written_whole(folder) as temporary:
        _merge_to_ask(base_folder, trained, manifest, temporary)
        made = {"versions": versions("torch", "transformers", "peft"), **circumstances(started, "cpu", "as stored", threads)}
        write_model_manifest(temporary, {**facts, **made})
        if named_files is not None:
            archive_others(temporary, named_files)


def _merge_to_ask(base_folder: Path, trained: Path, manifest: Path, folder: Path) -> tuple[Asking | None, Any]:
    """Write a merged model that is asked as it was trained; returns how that is, and its tokenizer."""
    for one in {base_folder, trained.parent}:
        refuse_damaged_model(one)
    merge(base_folder, trained, folder)
    asked = asking_of(base_folder, read_json(manifest))
    return asked, ship_format(folder, asked)


def merge(base_folder: Path, trained: Path, folder: Path) -> None:
    """Write the base model with its adapter merged into it, or the result of full fine-tuning, in the base model's number type.

    The written model is loaded, and its logits are compared with those of the adapter on the base model.

    Raises:
        UserError: if an adapter is no change of weights and cannot be merged, or if the logits differ.
    """
    from transformers import AutoModelForCausalLM

    stored = load_weights(AutoModelForCausalLM, base_folder, dtype="auto")
    number_type = stored.dtype
    prompts = _prompts(stored.config.get_text_config().vocab_size)
    model: Any
    if trained.name == "model.safetensors":
        model = load_weights(AutoModelForCausalLM, trained.parent, dtype=number_type).float()
        expected = _logits(model, prompts)
    else:
        # Added in float32, so that a sum is rounded once.
        model, expected = _with_adapter(stored.float(), trained.parent, prompts)
    model.config.name_or_path = ""
    save_model(model, load_tokenizer(base_folder), folder, number_type)
    # transformers writes the type in which the model has computed.
    settings = read_json(folder / "config.json")
    write_json(folder / "config.json", settings | {"dtype": type_name(number_type)})
    del stored, model
    written: Any = load_weights(AutoModelForCausalLM, folder, dtype=number_type)
    refuse_other_logits(trained.parent, expected, _logits(written.float(), prompts), number_type, written.config)


def _with_adapter(base: PreTrainedModel, adapter: Path, prompts: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """The base model with the changes of its adapter, and the logits of the adapter itself.

    Where tied weights become different, the result is not tied.
    """
    tied: dict[str, str] = dict(getattr(base, "all_tied_weights_keys", None) or {})
    shared = [base.get_parameter(name) for name in tied.values()]
    adapted: Any = load_adapter(base, adapter).eval()
    if learns_prompt(adapted):
        raise UserError(f"{adapter}: a learnt prompt is not a change of weights; there is nothing to merge.")
    expected = _logits(adapted, prompts)
    # peft adds to a tensor in place. For weights that are tied it would add to all of them what belongs to one.
    _separate(adapted, shared)
    try:
        model = adapted.merge_and_unload()
    except (AttributeError, NotImplementedError, ValueError, RuntimeError, TypeError) as error:
        raise UserError(f"{adapter}: peft cannot merge this kind of adapter: {error}") from error
    if tied:
        same = all(torch.equal(model.get_parameter(one), model.get_parameter(other)) for one, other in tied.items())
        _tie(model, same)
        log.info("%s: the merged model's output layer %s its embedding", adapter, "is" if same else "is no longer")
    refuse_other_logits(adapter, expected, _logits(model, prompts), torch.float32, model.config)
    return model, expected


def _separate(model: torch.nn.Module, shared: Sequence[torch.nn.Parameter]) -> None:
    """Give each module that has one of the shared tensors a tensor of its own."""
    kept: set[int] = set()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in kept:
                setattr(module, name, torch.nn.Parameter(parameter.detach().clone(), requires_grad=False))
            elif any(parameter is one for one in shared):
                kept.add(id(parameter))


def _tie(model: Any, tied: bool) -> None:
    """Tie a model's weights, or have it save all of them and say so in its settings."""
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied
    if tied:
        model.tie_weights()
    else:
        model.all_tied_weights_keys = {}


class Apart(NamedTuple):
    """How far logits are from others, relative to their size, and how much of that rounding explains."""

    difference: float
    allowed: float

    @property
    def is_rounding(self) -> bool:
        """Whether rounding explains it. What is no number is not small."""
        return self.difference <= self.allowed


def logits_apart(expected: torch.Tensor, found: torch.Tensor, dtype: torch.dtype, config: Any) -> Apart:
    """Compare the logits of a merged model with those of its adapter.

    Rounding weights to a number type changes each layer's output by about half its machine precision, relative to the output.
    The errors of layers are independent, so that they add up as the root of the number of layers. Four times as much is allowed.

    Args:
        expected: logits of the adapter, shape (tokens, vocabulary).
        dtype: number type in which the merged weights were stored.
        config: of the merged model.
    """
    layers = getattr(config.get_text_config(), "num_hidden_layers", 32)
    allowed = max(_FLOAT32_NOISE, 4 * torch.finfo(dtype).eps / 2 * math.sqrt(layers))
    centred = [logits - logits.mean(-1, keepdim=True) for logits in (expected, found)]
    return Apart(float((centred[1] - centred[0]).norm() / centred[0].norm()), allowed)


def refuse_other_logits(adapter: Path, expected: torch.Tensor, found: torch.Tensor, dtype: torch.dtype, config: Any) -> None:
    """Refuse a merged model that does not answer as its adapter does.

    Args:
        adapter: its folder, for messages.
        expected, found, dtype, config: as in `logits_apart`.

    Raises:
        UserError: if the logits differ by more than the number type explains.
    """
    apart = logits_apart(expected, found, dtype, config)
    log.info("logits of the merged model in %s: %.2g off, %.2g allowed", type_name(dtype), *apart)
    if not apart.is_rounding:
        raise UserError(
            f"{adapter}: the merged model does not answer as the adapter does: its logits in {type_name(dtype)} are "
            f"{apart.difference:.2g} off, relative to their size, where rounding explains {apart.allowed:.2g}. Use the adapter "
            "itself."
        )


_FLOAT32_NOISE = 1e-3
"""Logits in float32 differ by less, also where a large change of weights is added in another order."""


def _prompts(vocabulary: int) -> torch.Tensor:
    """Token ids from all over the vocabulary, shape (prompts, tokens)."""
    return torch.randint(vocabulary, (4, 32), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def _logits(model: Any, prompts: torch.Tensor) -> torch.Tensor:
    """Logits after every token of the prompts."""
    logits: torch.Tensor = model(input_ids=prompts).logits.float()
    return logits
