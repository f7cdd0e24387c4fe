"""Looking into results, to plan with what they tell. A damaged file is told of and left out: what plans must not die of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loragrid.runtime.commands import command
from loragrid.runtime.job import log
from loragrid.text.words import shortened

Found = TypeVar("Found")


def looked_into(path: str | Path, read: Callable[[], Found]) -> Found | None:
    """What is read out of a file; None, with a warning, if the file is not as its job left it."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except Exception as error:
        # Whatever a library says about bytes that are none of its format.
        said = shortened(str(error), 160).removeprefix(f"{path}: ")
        log.warning("%s is damaged and left out here (%s); this says more: %s", path, said, command("verify"))
        return None
