"""Finished work that Snakemake may not know of yet.

Snakemake records that a job is done after the job has ended. If it is interrupted or killed before, it removes the result at its
next start and runs the job again. So what has cost much stays in the job's state until Snakemake has recorded the result, and the
job that runs again takes it from there. A result that was recorded is never taken: whoever deletes it wants it made anew.
"""

from __future__ import annotations

import os
import shutil
from base64 import urlsafe_b64encode
from pathlib import Path

from loragrid.layout import PREDICTION_STATES, TRAINING_STATES
from loragrid.runtime.files import folder_written_whole, written_whole
from loragrid.runtime.job import log
from loragrid.runtime.states import describe_state, whose_state

RECORDS, MARKERS = Path(".snakemake/metadata"), Path(".snakemake/incomplete")
"""Where Snakemake keeps its record of each result, and a marker for each result of a job that runs."""

WORK_STATES = (TRAINING_STATES, PREDICTION_STATES)
"""Folders of what single jobs have done so far."""

PLANNED = "LORAGRID_PLANNED"
"""Environment variable with the time at which Snakemake looked at the files: seconds since the epoch."""

MOST_COPIED = 2**31
"""On a file system without hard links, a finished result of no more than so many bytes is kept as a copy."""


def record_of(result: str, kind: Path = RECORDS) -> Path:
    """Snakemake's record of a result, or its marker.

    The name is the result's path in the URL-safe form of Base64, cut up where it is too long for a file's name.
    """
    encoded = urlsafe_b64encode(result.encode()).decode()
    longest = (os.pathconf(kind, "PC_NAME_MAX") if kind.is_dir() else 255) - 1
    *folders, name = [encoded[i : i + longest] for i in range(0, len(encoded), longest)]
    return kind.joinpath(*(f"@{folder}" for folder in folders), name)


def _changed(path: Path) -> int | None:
    """When a file changed last, in nanoseconds; None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def finish_state(state: Path, result: str) -> None:
    """Say that the work of a state is finished. It stays until Snakemake has recorded the result.

    Where Snakemake's records of the result cannot be seen, as in a storage or a database, the state is removed at once.

    Args:
        state: a journal, or a folder.
        result: the file that the job writes in the end.
    """
    if not (MARKERS.is_dir() and RECORDS.is_dir() and record_of(result, MARKERS).exists()):
        remove_state(state)
        return
    describe_state(state, {"result": result, "finished": True, "record": _changed(record_of(result))}, again=True)


def is_superseded(state: Path) -> bool:
    """Whether Snakemake had recorded the result of a finished state when it planned the job that runs now.

    The result was deleted since, or the job was forced: it is to be made anew.
    """
    since = float(os.environ.get(PLANNED) or "inf")
    return _is_recorded(state) and state.with_suffix(".json").stat().st_mtime <= since


def _is_recorded(state: Path) -> bool:
    whose = whose_state(state)
    if not whose.get("finished"):
        return False
    changed = _changed(record_of(str(whose.get("result"))))
    return changed is not None and changed != whose.get("record")


def forget_recorded() -> None:
    """Remove the finished states that Snakemake needs no more, because it has recorded their results."""
    if not RECORDS.is_dir():
        return
    for description in (path for folder in WORK_STATES for path in Path(folder).glob("*.json")):
        if _is_recorded(description):
            for state in (description.with_suffix(""), description.with_suffix(".jsonl")):
                remove_state(state)


def remove_state(state: Path) -> None:
    """Remove a state and its description."""
    if state.is_dir():
        shutil.rmtree(state)
    else:
        state.unlink(missing_ok=True)
    state.with_suffix(".json").unlink(missing_ok=True)


def keep_files(folder: Path, kept: Path) -> None:
    """Keep the files of a finished result, completely or not at all.

    Hard links cost nothing. On a file system without them, large files are not kept.

    Args:
        folder: with the result's files.
        kept: a folder of their own, which is made.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with folder_written_whole(kept) as temporary:
        for path in files:
            (temporary / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, temporary / path.relative_to(folder))
            except OSError as error:
                if sum(file.stat().st_size for file in files) > MOST_COPIED:
                    log.info("the finished result is not kept beside itself: the file system has no hard links (%s)", error)
                    shutil.rmtree(temporary)
                    temporary.mkdir()
                    return
                shutil.copy2(path, temporary / path.relative_to(folder))


def take_files(kept: Path, folder: Path) -> None:
    """Put kept files where the result belongs, each whole. Files that are there already, and the same, stay."""
    for path in sorted(kept.rglob("*")):
        target = folder / path.relative_to(kept)
        if not path.is_file() or (target.exists() and target.samefile(path)):
            continue
        with written_whole(target) as temporary:
            try:
                os.link(path, temporary)
            except OSError:
                shutil.copy2(path, temporary)
