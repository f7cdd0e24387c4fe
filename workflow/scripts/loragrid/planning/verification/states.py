"""Whether the next job can go on from unfinished and costly work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loragrid.errors import DamagedError
from loragrid.layout import STATE
from loragrid.planning.pruning.tree import walk
from loragrid.runtime.files import file_sha256
from loragrid.runtime.journal import damaged_lines
from loragrid.runtime.manifests import read_json
from loragrid.runtime.states import DAMAGED
from loragrid.training.checkpoints import CHECKPOINT, PROGRESS, SHARDED, checked_progress, parse_progress


def states() -> Iterator[Path]:
    """The journals and checkpoints that jobs may go on from."""
    for file in walk(STATE):
        path = Path(file.path)
        is_work = path.suffix == ".jsonl" or path.name == CHECKPOINT or path.parts[-2:] == (SHARDED, PROGRESS)
        if is_work and not any(part.startswith(".") for part in path.relative_to(STATE).parts) and DAMAGED not in file.path:
            yield path


def refuse_damaged_state(path: Path) -> bool:
    """Read a journal or a checkpoint, and change nothing.

    Returns:
        Whether it holds a hash of its content.

    Raises:
        DamagedError: if the next job will set it aside, or lines of it.
    """
    try:
        if path.suffix == ".jsonl":
            damaged, lines = damaged_lines(path)
            if damaged:
                raise ValueError(f"{damaged} of {lines} lines are damaged")
            return False
        if path.name == CHECKPOINT:
            checked_progress(path)
        else:
            parse_progress(path.read_text(encoding="utf-8"))
            for name, stated in read_json(path).get("files", {}).items():
                if file_sha256(path.parent / name) != stated:
                    raise ValueError(f"{name} has another hash than when it was written")
    except Exception as error:
        # Whatever safetensors says too.
        raise DamagedError(path, f"{error} (a job leaves out what is damaged, and does it again)") from None
    return True
