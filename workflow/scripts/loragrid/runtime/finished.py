"""Finished work that Snakemake may not know of yet.

Snakemake records that a job is done after the job has ended. If it is interrupted or killed before, it removes the result at its
next start and runs the job again. So what has cost much stays in the job's state until Snakemake has recorded the result, and the
job that runs again takes it from there. A result that was recorded is never taken: whoever deletes it wants it made anew.
"""

from __future__ import annotations

import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loragrid.layout import AHEAD, MANIFEST, PREDICTION_STATES, TRAINING_STATES
from loragrid.runtime.files import folder_written_whole, written_whole
from loragrid.runtime.job import log
from loragrid.runtime.states import describe_state, whose_state

RECORDS, MARKERS = Path(".snakemake/metadata"), Path(".snakemake/incomplete")
"""Where Snakemake keeps its record of each result, and a marker for each result of a job that runs."""

_AHEAD_STAGES = ("train", "check", "predict", "measure_likelihoods", "probe")

WORK_STATES = (TRAINING_STATES, PREDICTION_STATES, *(f"{AHEAD}/{stage}" for stage in _AHEAD_STAGES))
"""Folders of what single jobs have done so far, or of what was done for them."""

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
    """When a file's content changed last, in nanoseconds; None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def recorded_at(result: str) -> int | None:
    """When Snakemake recorded a result last, in nanoseconds; None if it has not, or its records cannot be seen."""
    return _changed(record_of(result))


def sees_it_running(result: str) -> bool:
    """Whether Snakemake's marker of the job can be seen that makes a result: only then its record will be seen too.

    Once this process has seen it, that stays so: another Snakemake removes it where its own job for the same result fails.
    """
    marker = record_of(result, MARKERS).absolute()
    if MARKERS.is_dir() and RECORDS.is_dir() and marker.exists():
        _SEEN.add(marker)
    return marker in _SEEN


_SEEN: set[Path] = set()


def is_made_meanwhile(result: str) -> bool:
    """Whether another job has put a result into its place since Snakemake looked at the files."""
    with suppress(OSError):
        found = Path(result).stat()
        # Work that was finished long ago is put into its place by a link.
        return max(found.st_mtime, found.st_ctime) > float(os.environ.get(PLANNED) or "inf")
    return False


def finish_state(state: Path, result: str, ahead: bool = False) -> None:
    """Say that the work of a state is finished. It stays until Snakemake has recorded the result.

    Where Snakemake's records of the result cannot be seen, as in a storage or a database, the state is removed at once.

    Args:
        state: a journal, or a folder.
        result: the file that the job writes in the end.
        ahead: whether that job has still to begin, and to take what was made for it.
    """
    if not (sees_it_running(result) or (ahead and RECORDS.is_dir())):
        remove_state(state)
        return
    describe_state(state, {"result": result, "finished": True, "record": recorded_at(result)}, again=True)


def is_superseded(state: Path) -> bool:
    """Whether Snakemake had recorded the result of a finished state when it planned the job that runs now.

    The result was deleted since, or the job was forced: it is to be made anew.
    """
    since = float(os.environ.get(PLANNED) or "inf")
    if not _is_recorded(state) or state.with_suffix(".json").stat().st_mtime > since:
        return False
    # A later record is that of a job that has failed since.
    return (recorded_at(str(whose_state(state)["result"])) or 0) <= since * 1e9


def _is_recorded(state: Path) -> bool:
    whose = whose_state(state)
    if not whose.get("finished"):
        return False
    changed = recorded_at(str(whose.get("result")))
    return changed is not None and changed != whose.get("record")


def forget_recorded(ended: bool = False) -> None:
    """Remove the finished states that Snakemake needs no more, because it has recorded their results.

    What others have failed to do for a job goes too: that counts in one run of Snakemake only.

    Args:
        ended: whether the jobs of a run have just ended. Snakemake records a job that has failed too, and removes its outputs:
            what was finished for such a job stays.
    """
    if not RECORDS.is_dir():
        return
    for description in (path for folder in WORK_STATES for path in Path(folder).glob("*.json")):
        whose = whose_state(description)
        if ended and _is_recorded(description) and not Path(str(whose["result"])).exists():
            describe_state(description, whose | {"record": recorded_at(str(whose["result"]))}, again=True)
        elif _is_recorded(description) or _is_note_of_the_past(whose):
            for state in (description.with_suffix(""), description.with_suffix(".jsonl")):
                remove_state(state)


def _is_note_of_the_past(whose: Mapping[str, Any]) -> bool:
    """Whether a description says what became of work ahead in a run of Snakemake that has ended."""
    plan = whose.get("failed") or whose.get("tried")
    return isinstance(plan, str) and not Path(AHEAD, plan).exists()


def remove_state(state: Path) -> None:
    """Remove a state and what stands beside it: its description, and log lines of the work."""
    if state.is_dir():
        shutil.rmtree(state)
    else:
        state.unlink(missing_ok=True)
    for beside in (".json", ".log"):
        state.with_suffix(beside).unlink(missing_ok=True)


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
    # A manifest comes last: where it is, the rest is.
    for path in sorted(kept.rglob("*"), key=lambda path: (path.name.endswith(MANIFEST), path)):
        target = folder / path.relative_to(kept)
        if not path.is_file() or (target.exists() and target.samefile(path)):
            continue
        with written_whole(target) as temporary:
            try:
                os.link(path, temporary)
            except OSError:
                shutil.copy2(path, temporary)
