"""All engines: the classes in the files of `inference/engines`, and the type of a configured engine."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Annotated

from loragrid.inference import engines
from loragrid.inference.engine import EngineSettings
from loragrid.inference.engines.hf import HfEngine
from loragrid.sections import OneOf

# A class is an engine of `AnyEngine` as soon as it is defined.
for _file in pkgutil.iter_modules(engines.__path__, f"{engines.__name__}."):
    importlib.import_module(_file.name)


AnyEngine = Annotated[EngineSettings, OneOf("type")]
"""An engine of one of the types."""


DEFAULT_ENGINE = HfEngine(type="hf")
"""The engine of a model whose entry names none."""
