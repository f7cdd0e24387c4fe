"""How many parameters a base model has: by its weights, by its name, or guessed."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from loragrid.config.models import BaseModelEntry
from loragrid.layout import IMPORT_MODEL
from loragrid.models.sources import MergedSource, PathSource
from loragrid.runtime.looking import looked_into

FIRST_PARAMETERS = 1e9
"""Parameters of a model if nothing is known about it."""


def parameters_of(name: str, model: BaseModelEntry) -> tuple[float, str]:
    """Parameters of a model, and their source: its weights, its name, or a guess."""
    for folder in _folders_of_weights(name, model):
        if files := sorted(folder.glob("*.safetensors")) if folder.is_dir() else []:
            stored = [looked_into(file, partial(stored_parameters, file)) for file in files]
            if counted := [parameters for parameters in stored if parameters]:
                return float(sum(counted)), "weights"
    source: dict[str, Any] = model.source.model_dump() if model.source else {}
    for text in (name, *(str(source[key]) for key in ("hub", "path", "package", "base_model") if source.get(key))):
        if (parameters := parameters_in_name(text)) is not None:
            return parameters, "name"
    return FIRST_PARAMETERS, "guess"


def _folders_of_weights(name: str, model: BaseModelEntry) -> Iterator[Path]:
    # A run that is merged into its base model has as many parameters.
    names = (name, model.source.base_model) if isinstance(model.source, MergedSource) else (name,)
    yield from (Path(IMPORT_MODEL.path("model", {"base_model": one})).parent for one in names)
    if isinstance(model.source, PathSource):
        yield Path(model.source.path)


def stored_parameters(file: Path) -> int:
    """How many numbers a safetensors file holds. Its header has eight bytes with the length of the JSON that follows; the JSON
    holds the shape of each tensor.
    """
    with open(file, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")


def parameters_in_name(name: str) -> float | None:
    """Parameters that a model's name states, as in `SmolLM2-135M` or `Llama-3.1-8B`; None if it states none."""
    sizes = re.findall(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([MB])(?![A-Za-z0-9])", name.upper().replace("_", "-"))
    return float(sizes[-1][0]) * {"M": 1e6, "B": 1e9}[sizes[-1][1]] if sizes else None
