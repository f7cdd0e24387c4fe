"""GGUF files: read once, and what they say of their model that transformers does not read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from loragrid.errors import UserError
from loragrid.models.weights import some

_ROTARY = re.compile(r"rope_(freqs|factors_\w+)\.weight")
"""Tensors by which positions are scaled, as in Llama 3.1 and later."""


@contextmanager
def read_once() -> Iterator[None]:
    """Within the block, a file is read once for all who ask the package `gguf`, and so are its tables of names.

    transformers reads a file for its settings, its weights and its tokenizer, and looks up names for each part of the model.
    That takes half a minute where the vocabulary is large. No file may change within the block.
    """
    import gguf

    before = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    read, names = map(cache, before.values())
    meanwhile = {"GGUFReader": lambda path: read(os.path.realpath(path)), "get_tensor_name_map": names}
    try:
        for name, function in meanwhile.items():
            setattr(gguf, name, function)
        yield
    finally:
        for name, function in before.items():
            setattr(gguf, name, function)


def refuse_what_is_not_read(file: Path, config: Any) -> None:
    """Refuse a file with tensors or settings that transformers leaves out, without which the model is another one.

    Args:
        config: of the model that transformers made of the file.

    Raises:
        UserError: naming the file and what is left out.
    """
    from gguf import GGUFReader

    reader = GGUFReader(file)
    names = {tensor.name for tensor in reader.tensors}
    if further := [name for name in names if _layer(name) >= config.get_text_config().num_hidden_layers]:
        raise UserError(f"{file}: there are weights of more layers than the file says that its model has: {some(further)}.")
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    if rope.get("rope_type", "default") != "default":
        return
    factors = [t.name for t in reader.tensors if _ROTARY.fullmatch(t.name) and bool((t.data != 1).any())]
    scaling = [name for name in reader.fields if name.endswith(".rope.scaling.type") and _text(reader, name) != "none"]
    scaling += [name for name in reader.fields if name.endswith(".rope.scale_linear") and _number(reader, name) != 1]
    if left_out := factors + scaling:
        raise UserError(
            f"{file}: transformers does not read how positions are scaled from a GGUF file of this kind ({some(left_out)}), so "
            "that the model would answer otherwise than it should; import its safetensors files instead."
        )


def _layer(name: str) -> int:
    """The number of the layer to which a tensor belongs; -1 for others."""
    found = re.match(r"blk\.(\d+)\.", name)
    return int(found[1]) if found else -1


def _text(reader: Any, name: str) -> str:
    return str(reader.fields[name].contents())


def _number(reader: Any, name: str) -> float:
    return float(reader.fields[name].contents())
