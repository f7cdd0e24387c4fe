"""Weights from files: every weight of a model comes from its files, none is made up.

transformers and peft initialise at random what a file lacks, and say so in a warning only. Here such a file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.errors import UserError
from loragrid.runtime.files import is_lfs_pointer
from loragrid.runtime.job import log
from loragrid.runtime.pretrained import load_pretrained, read_settings, unreadable

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_SHOWN = 3
"""So many names of weights stand in a sentence."""


class Accepted(NamedTuple):
    """Differences between a model and its files that change nothing of what the model is used for."""

    missing: str | None = None
    """A pattern of weights that are not used and may be made up."""
    other_heads: bool = False
    """Whether files may hold weights for another purpose, outside the model's body."""
    surplus: bool = False
    """Whether files may hold any further weights."""


ALL = Accepted()
"""A model needs all its weights, and no others."""


ENCODER = Accepted(missing=r"(^|\.)pooler\.", other_heads=True)
"""Vectors are made of an encoder's hidden states: not of its pooler, nor of the head with which it was pretrained."""


REWARD_MODEL = Accepted(other_heads=True)
"""A classifier may come with the head of the language model that it once was."""


def load_weights(kind: Any, folder: Path, accepted: Accepted = ALL, **options: Any) -> PreTrainedModel:
    """A model with the weights of its files.

    Args:
        kind: the class of transformers that loads it, such as `AutoModelForCausalLM`.
        folder: the model's folder, which messages name.
        options: further arguments of `from_pretrained`.

    Raises:
        UserError: naming the folder and what is wrong with its files.
    """
    import torch

    name = folder / options["gguf_file"] if "gguf_file" in options else folder
    refuse_lfs_pointers(name)
    if name == folder and folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: there is no '*.safetensors' file; other formats can carry code and are not read.")
    if name == folder and folder.is_dir():
        refuse_missing_shards(folder)
        refuse_cut_files(folder)
        refuse_impossible_sizes(folder)
    # Shapes are compared here: transformers names them in a table of its log only.
    how: dict[str, Any] = {"output_loading_info": True, "ignore_mismatched_sizes": True, "use_safetensors": True}
    try:
        model, report = load_pretrained(kind, folder, **how, **options)
    except torch.OutOfMemoryError:
        raise
    except (UserError, ImportError, MemoryError):
        raise
    except Exception as error:
        # Settings that make no sense fail anywhere in the library, in any way.
        log.info("%s cannot be loaded", name, exc_info=error)
        raise UserError(unreadable(name, "model", error)) from error
    refuse_misfits(name, model, report, accepted)
    refuse_numbers_that_are_none(name, model)
    loaded: PreTrainedModel = model
    return loaded


def refuse_missing_shards(folder: Path) -> None:
    """Refuse a model some of whose files of weights did not come along.

    Raises:
        UserError: naming the index and the files.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    places = read_settings(index).get("weight_map")
    if not isinstance(places, Mapping) or not all(isinstance(name, str) for name in places.values()):
        raise UserError(f"{index}: expected a weight_map, with the file of each weight; fetch it again.")
    if missing := sorted({name for name in places.values() if not (folder / name).is_file()}):
        raise UserError(f"{index}: it names files that are not there: {some(missing)}; fetch them.")


def refuse_cut_files(folder: Path) -> None:
    """Refuse files of weights whose header or length is not what it should be.

    Raises:
        UserError: naming the first of them.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            safe_open(path, "pt")
        except SafetensorError as error:
            raise UserError(f"{path}: this file is damaged or cut off: {error}") from error


_SIZES = ("num_hidden_layers", "n_layer", "hidden_size", "n_embd", "intermediate_size", "vocab_size")


def refuse_impossible_sizes(folder: Path) -> None:
    """Refuse settings of a model that is larger than all its weights, before it fills the memory.

    Raises:
        UserError: naming the setting.
    """
    settings = read_settings(folder / "config.json")
    largest = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    for part in (settings, settings.get("text_config")):
        for key in _SIZES if isinstance(part, Mapping) else ():
            # Weights of four bits are the smallest.
            if largest and isinstance(part.get(key), int) and part[key] > 2 * largest:
                raise UserError(f"{folder / 'config.json'}: {key} is {part[key]}, more than there are numbers in the weights.")


def refuse_misfits(name: Path, model: PreTrainedModel, report: Mapping[str, Any], accepted: Accepted) -> None:
    """Compare a model's weights with those of its files.

    Args:
        name: of the model, for messages.
        report: of transformers, about what it loaded.

    Raises:
        UserError: naming the weights that are missing, of another shape, or too many.
    """
    missing = {key for key in report["missing_keys"] if not (accepted.missing and re.search(accepted.missing, key))}
    # Weights that are tied to a missing one are none of their own.
    tied: Mapping[str, str] = getattr(model, "all_tied_weights_keys", None) or {}
    missing -= {key for key in missing if tied.get(key) in missing - {key}}
    surplus = set(report["unexpected_keys"])
    unused = {key for key in surplus if accepted.surplus or (accepted.other_heads and not _is_of_body(model, key))}
    if unused and not missing:
        log.info("%s: weights that are not used: %s", name, some(unused))
        surplus -= unused
    found = [
        *([f"has no weights for {some(missing)}"] if missing else []),
        *([f"has weights that do not belong to it: {some(surplus)}"] if surplus else []),
        *(f"has {key} in the shape {list(of_file)} instead of {list(of_model)}" for key, of_file, of_model in _misshapen(report)),
    ]
    if found:
        raise UserError(f"{name}: this {type(model).__name__} {', and '.join(found)}.{_hint(model, missing, surplus)}")


def _misshapen(report: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return sorted(report["mismatched_keys"], key=lambda found: _in_order(found[0]))[:_SHOWN]


def _is_of_body(model: PreTrainedModel, key: str) -> bool:
    """Whether a weight belongs to a part that the model's body has, such as one more layer. A head is no part of the body."""
    part = key.removeprefix(f"{model.base_model_prefix}.").partition(".")[0]
    return hasattr(model.base_model, part)


def _hint(model: PreTrainedModel, missing: Collection[str], surplus: Collection[str]) -> str:
    """What the names of weights tell about the reason; an empty text if nothing."""
    if (prefix := _prefix(missing, surplus)) is not None:
        return f" Names in its files begin with '{prefix}', the model's do not: save the model by its own save_pretrained()."
    kind = type(model).__name__
    if kind.endswith("ForSequenceClassification") and missing:
        return " A reward model needs a trained head; a language model has none."
    if any(re.match(r"(score|classifier|classification_head|v_head)\.", key) for key in surplus):
        return " It looks like a classifier or a reward model (those go into `reward_models`)."
    return ""


def _prefix(missing: Collection[str], surplus: Collection[str]) -> str | None:
    """The text with which all names in a file begin, and none in the model, if that is all that is wrong."""
    if not missing:
        return None
    first = min(missing)
    prefixes = (key.removesuffix(first) for key in sorted(surplus) if key.endswith(first) and key != first)
    return next((prefix for prefix in prefixes if all(prefix + key in surplus for key in missing)), None)


def refuse_numbers_that_are_none(name: Path, model: torch.nn.Module) -> None:
    """Refuse weights with NaN or infinity.

    Raises:
        UserError: naming the weights.
    """
    import torch

    broken = [key for key, weight in model.named_parameters() if weight.is_floating_point() and not _is_finite(weight)]
    if broken:
        narrow = " (in float16, numbers end at 65504)" if torch.float16 in {weight.dtype for weight in model.parameters()} else ""
        raise UserError(f"{name}: there is NaN or infinity in {some(broken)}{narrow}: no answer of such a model means anything.")


def _is_finite(weight: torch.Tensor) -> bool:
    if weight.device.type == "meta" or not weight.numel():
        return True
    # Both ends are NaN if there is one anywhere. That needs no memory.
    low, high = weight.detach().aminmax()
    return bool(low.isfinite() & high.isfinite())


def refuse_lfs_pointers(path: Path) -> None:
    """Refuse files that only name the content that Git LFS should have brought.

    Args:
        path: a file, or a folder with its files.

    Raises:
        UserError: naming the file.
    """
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.is_file())
    if pointers := [file for file in files if is_lfs_pointer(file)]:
        more = f" (and {len(pointers) - 1} more)" if len(pointers) > 1 else ""
        raise UserError(
            f"{pointers[0]}{more}: this is a pointer of Git LFS, not the file itself; fetch the content with `git lfs pull`."
        )


def some(names: Iterable[str]) -> str:
    """The first names of weights, and how many there are."""
    ordered = sorted(names, key=_in_order)
    shown = ", ".join(ordered[:_SHOWN])
    return shown if len(ordered) <= _SHOWN else f"{shown}, … ({len(ordered)} in all)"


def _in_order(name: str) -> list[tuple[int, str]]:
    # Layer 2 stands before layer 10.
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]
