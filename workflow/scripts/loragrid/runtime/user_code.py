"""The user's own code, named in the configuration. It is loaded from its file, and its exceptions become one sentence."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.redaction import redacted


def load_function(function: str) -> Callable[..., Any]:
    """The function that `path.py:name` names. Raises whatever the file raises."""
    path, _, name = function.rpartition(":")
    # The module gets a name of its own: the file may have the name of a package, which must not be replaced.
    module_name = f"user_code_{Path(path).stem}"
    specification = importlib.util.spec_from_file_location(module_name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    # Data classes look up their module.
    sys.modules[module_name] = module
    specification.loader.exec_module(module)
    loaded: Callable[..., Any] = getattr(module, name)
    return loaded


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn an exception of the user's code into a sentence; its traceback goes to the log.

    Args:
        what: names the code.

    Raises:
        UserError: if the block raises anything.
    """
    try:
        yield
    except Exception as error:
        log.info("%s failed", what, exc_info=True)
        raise UserError(f"{what} failed: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Type and message of an exception, in one line and without secrets."""
    return redacted(f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": "))
