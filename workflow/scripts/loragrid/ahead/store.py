"""Results that were made ahead, each in a folder of its own, until the job takes them that they belong to.

The folder's name is the identity of the result: a hash of all that decides on it. So nobody takes what was made of something
else. Beside the folder stand what the result is (`.json`), and the log lines of the work (`.log`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loragrid.layout import AHEAD
from loragrid.runtime.files import file_sha256, fingerprint
from loragrid.runtime.finished import is_superseded, recorded_at, remove_state, sees_it_running, take_files
from loragrid.runtime.shares import Share
from loragrid.runtime.states import describe_state, set_aside, whose_state


def place_of(stage: str, identity: Any) -> Path:
    """The folder for a result, given plain data that tells it from all others."""
    return Path(AHEAD, stage, fingerprint(identity)[:32])


def log_of(place: Path) -> Path:
    """The log lines of the work for a result."""
    return place.with_suffix(".log")


def begin(place: Path, result: str, plan: str) -> None:
    """Say that the work for a result has begun in a run of Snakemake: if the process dies of it, no other one shall.

    What is left of an earlier beginning is removed.
    """
    shutil.rmtree(place, ignore_errors=True)
    log_of(place).unlink(missing_ok=True)
    describe_state(place, {"result": result, "tried": plan}, again=True)


def put_back(place: Path, result: str) -> None:
    """Say that the work for a result was stopped from outside: whoever comes may do it."""
    with suppress(OSError):
        describe_state(place, {"result": result}, again=True)


def finish(place: Path, outputs: Iterable[str], result: str, by: str, share: Share) -> None:
    """Say that a result is whole, which stands in its folder by now.

    Args:
        outputs: the files that the job is to leave.
        result: the one that it writes last.
        by: who has made it, for the reader of a log.

    Raises:
        FileNotFoundError: if an output is not there.
    """
    for output in outputs:
        (place / Path(output).name).stat()
    hashes = {path.relative_to(place).as_posix(): file_sha256(path) for path in sorted(place.rglob("*")) if path.is_file()}
    whose = {"result": result, "finished": True, "record": recorded_at(result), "by": by, **share._asdict(), "files": hashes}
    describe_state(place, whose, again=True)


def is_finished(place: Path) -> bool:
    """Whether a result waits here, whole, that is still wanted."""
    return bool(whose_state(place).get("finished")) and place.is_dir() and not is_superseded(place)


def take(place: Path, folder: Path) -> Mapping[str, Any] | None:
    """Put a result where it belongs. It waits on until Snakemake has recorded it; where that cannot be seen, it is gone.

    Args:
        folder: where its files belong.

    Returns:
        What `finish` has noted; None if there is no such result, or a damaged one.
    """
    whose = whose_state(place)
    if not is_finished(place):
        # Half a result, or the beginning of one, or one that was recorded and deleted since.
        remove_state(place)
        return None
    if why := _damage(place, whose.get("files")):
        set_aside(place, why)
        remove_state(place)
        return None
    take_files(place, folder)
    return whose


def taken(place: Path, result: str) -> None:
    """Forget a result that was taken, unless Snakemake may lose what it knows of it before it has recorded it."""
    if not sees_it_running(result):
        remove_state(place)


def note_failure(place: Path, result: str, plan: str) -> None:
    """Note that the work for a result has failed in a run of Snakemake, so that nobody tries it ahead in the same run."""
    with suppress(OSError):
        shutil.rmtree(place, ignore_errors=True)
        describe_state(place, {"result": result, "failed": plan}, again=True)


def has_failed(place: Path, plan: str) -> bool:
    """Whether the work for a result has failed in this run of Snakemake."""
    return whose_state(place).get("failed") == plan


def was_tried(place: Path, plan: str) -> bool:
    """Whether a process began the work for a result in this run of Snakemake, and has not said what became of it.

    If nobody works on it now, that process has died.
    """
    return whose_state(place).get("tried") == plan


def _damage(place: Path, stated: Any) -> str:
    """What is wrong with the files of a result; an empty text if nothing is."""
    if not isinstance(stated, dict) or not stated:
        return "its description does not name its files"
    for name, sha256 in stated.items():
        try:
            if file_sha256(place / name) != sha256:
                return f"{name} has another hash than when it was written"
        except OSError as error:
            return f"{name}: {error.strerror}"
    return ""
