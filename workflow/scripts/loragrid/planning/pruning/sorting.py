"""All files, sorted: files that stay, files that can go, and files of unknown origin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loragrid.errors import UserError
from loragrid.layout import HUMAN_SHEET, LOGS, RESULTS, STATE, experiment_of
from loragrid.planning.pruning.in_use import InUse, Made
from loragrid.planning.pruning.listing import UNKNOWN, Row
from loragrid.planning.pruning.origins import Origins
from loragrid.planning.pruning.snakemake_records import records
from loragrid.planning.pruning.states import DAY_S, state_rows
from loragrid.planning.pruning.tree import TRACES, File, walk
from loragrid.runtime.spreadsheets import is_blank, read_sheet
from loragrid.scoring.human_sheets import ID, SheetRow

SLURM_LOGS = f"{LOGS}/slurm"
LOG_FOLDERS = (".snakemake/log", ".snakemake/scripts", ".snakemake/slurm_logs", SLURM_LOGS)
"""Folders that grow with every run of Snakemake, and with every killed job."""


LOG_DAYS, LEFTOVER_DAYS = 30, 1
"""Logs of Snakemake and half-written files count as useless after this many days without a change."""


LEFTOVER = re.compile(r"(?:^|/)\.[^/]+\.partial(?:/|$)")
"""Temporary files and folders of `files.written_whole` and the like."""


def sort_out(made: Sequence[Made], in_use: InUse, now: float) -> list[Row]:
    """All files that can go, and all files of unknown origin, by path.

    Args:
        now: seconds since the epoch.
    """
    files = list(walk(RESULTS))
    origins = Origins(made, {file.path for file in files if file.path.startswith(TRACES)} | records().keys())
    states = [file for file in files if file.path.startswith(f"{STATE}/") and not LEFTOVER.search(file.path)]
    others = dict.fromkeys(files).keys() - dict.fromkeys(states).keys()
    rows = [row for file in others if (row := file_row(file, in_use, origins, now))]
    rows += state_rows(states, in_use, origins, now)
    for folder in LOG_FOLDERS:
        old = [file for file in walk(folder) if now - file.changed > LOG_DAYS * DAY_S and not file.is_link]
        rows += [Row(file.path, file.bytes, "snakemake", f"a log or script older than {LOG_DAYS} days") for file in old]
    return sorted(rows)


def file_row(file: File, in_use: InUse, origins: Origins, now: float) -> Row | None:
    """The line of a file; None if the file has to stay."""
    path = file.path
    if LEFTOVER.search(path):
        return leftover_row(file, now)
    parents = [parent.as_posix() for parent in PurePosixPath(path).parents]
    if path in in_use.files or any(folder in in_use.folders for folder in (path, *parents)) or SLURM_LOGS in parents:
        return None
    if file.is_link:
        return Row(path, file.bytes, UNKNOWN, "a link, which no rule makes: kept, as is what it points to")
    # Neither the list for an archive nor a log can hold every file name that a system allows.
    origin = None if re.search(r"[\n\\\ud800-\udfff]", path) else origins.explain(path)
    if origin is None:
        return Row(path, file.bytes, UNKNOWN, "not made by the workflow: kept")
    if is_sheet(path) and not is_unfilled(file):
        return Row(path, file.bytes, UNKNOWN, "changed by somebody since it was written: kept")
    return Row(path, file.bytes, *origin)


def leftover_row(file: File, now: float) -> Row | None:
    """The line of a half-written file, if no job can still be writing it."""
    if now - file.changed < LEFTOVER_DAYS * DAY_S or file.is_link:
        return None
    return Row(file.path, file.bytes, "leftover", "half-written by a job that was killed")


def is_sheet(path: str) -> bool:
    """Whether a file is an annotator's sheet."""
    return bool(HUMAN_SHEET.named([path]))


def is_unfilled(sheet: File) -> bool:
    """Whether a sheet is as its job wrote it. A sheet that was filled in is newer than the end of the job's log.

    Copies may have lost that order. So the columns to fill in must be empty too.
    """
    [output] = HUMAN_SHEET.named([sheet.path])
    log_pattern = HUMAN_SHEET.of_experiment(experiment_of(sheet.path)).log
    log = Path(log_pattern.format_map(HUMAN_SHEET.wildcards(output, sheet.path) or {}))
    if not log.exists() or sheet.changed > log.stat().st_mtime:
        return False
    try:
        rows = read_sheet(sheet.path, [ID])
    except (UserError, OSError):
        return False
    return all(is_blank(cell) for _, row in rows for column, cell in row.items() if column not in SheetRow._fields)
