"""What under `results/` the configuration does not ask for any more: told apart from what is of use, listed, removed."""

from __future__ import annotations

import csv
import json
import os
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.layout import Run
from loragrid.runtime.files import fingerprint, written_whole
from loragrid.runtime.locks import is_held
from loragrid.runtime.spreadsheets import is_blank, read_sheet
from loragrid.runtime.states import FOLDER as STATES
from loragrid.runtime.states import whose_state
from loragrid.scoring.human_sheets import ID, SheetRow

RESULTS = "results"


LIST = Path("results/prunable.csv")


ARCHIVE_LIST = Path("results/prunable.txt")
"""The same paths, one a line, for `tar --files-from`."""


ODD = "surrogateescape"
"""How names that are no text are written and read."""


UNKNOWN = "unknown"
"""Stage of files that stay because no rule makes them."""


OWN_FILES, OWN_FOLDERS = ("results/plan.csv", "results/plan.txt"), ("results/partial",)
"""What target rules write without declaring it."""


TRACES = ("results/logs/", "results/benchmarks/")


LOG_FOLDERS = (".snakemake/log", ".snakemake/scripts", ".snakemake/slurm_logs", "results/logs/slurm")
"""What grows with every run of Snakemake, and every job that is killed."""


REASONS = 12
"""How many the summary names, those with the largest files first."""


DAY_S = 86400.0


LOG_DAYS, STATE_DAYS, LEFTOVER_DAYS = 30, 30, 1
"""After how many days without a change logs of Snakemake, states of which nobody knows whose they are, and half-written files count as useless."""


LEFTOVER = re.compile(r"(?:^|/)\.[^/]+\.partial(?:/|$)")
"""Temporary files and folders of `files.written_whole` and the like."""


BY_LIBRARIES = re.compile(
    r"(?:config|generation_config|model|adapter_config|adapter_model|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|merges|"
    r"chat_template|preprocessor_config|spiece|sentencepiece\.bpe|\w+\.sp)\.(?:json|jinja|txt|model|safetensors)"
)
"""Names of the files that transformers and peft write into the folder of a model."""


class Made(NamedTuple):
    """What a rule makes: patterns with `{wildcards}`, and regular expressions that tell the same paths."""

    stage: str
    """Name of the rule."""
    files: Sequence[tuple[str, str]]
    folders: Sequence[tuple[str, str]]
    """Folders that its jobs fill with more than their outputs."""
    logs: Sequence[tuple[str, str]]
    """Logs and benchmarks, which every one of its jobs leaves."""
    jobs: Sequence[Mapping[str, Any]] | None
    """Wildcards of the jobs whose results are of use; None: all that the rule makes is."""


class InUse(NamedTuple):
    """All that must stay."""

    files: frozenset[str]
    folders: frozenset[str]
    """With everything inside them."""
    judges: frozenset[str]
    """Names of the journals of judgements."""
    scorers: frozenset[str]
    """Fingerprints of the settings of scorers."""
    scorer_types: frozenset[str]


class File(NamedTuple):
    """A file that is there."""

    path: str
    bytes: int
    changed: float
    """Seconds since the epoch."""
    is_link: bool = False


class Row(NamedTuple):
    """One line of the list."""

    path: str
    bytes: int
    stage: str
    why: str


def find_in_use(config: Config, made: Iterable[Made]) -> InUse:
    """What a configuration asks for or can use, with the files that it names itself."""
    files, folders = {LIST.as_posix(), ARCHIVE_LIST.as_posix(), *OWN_FILES}, set(OWN_FOLDERS)
    for one in made:
        for pattern, _ in (*one.files, *one.logs):
            files |= {pattern.format(**job) for job in one.jobs or ()} if "{" in pattern else {pattern}
        for pattern, _ in one.folders:
            folders |= {pattern.format(**job) for job in one.jobs or ()}
    scorers = config.scorers.values()
    return InUse(
        frozenset(files),
        frozenset(folders | set(named_results(config.model_dump()))),
        frozenset(scorer.judgements.stem for scorer in scorers if scorer.judgements),
        frozenset(fingerprint(scorer.decisive_settings()) for scorer in scorers),
        frozenset(scorer.type for scorer in scorers),
    )


def named_results(value: Any) -> Iterator[str]:
    """The files and folders under `results/` that a configuration names, such as an adapter to continue or a source made of other results."""
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, str):
        # A function is named as `file.py:name`.
        for text in {value, value.rpartition(":")[0]} if "\0" not in value else ():
            # Through a link, such as that of a home, it may look like a place elsewhere.
            real = os.path.relpath(os.path.realpath(text), os.path.realpath(RESULTS))
            for path in {os.path.relpath(text or "."), os.path.normpath(f"{RESULTS}/{real}")}:
                if path.startswith(f"{RESULTS}{os.sep}"):
                    yield PurePosixPath(path).as_posix()
    elif isinstance(value, Iterable):
        for one in value:
            yield from named_results(one)


def configuration_of(in_use: InUse) -> str:
    """A short hash of all that is of use: a list was made for the same configuration if this is the same."""
    return fingerprint([sorted(part) for part in in_use])[:12]


def walk(folder: str) -> Iterator[File]:
    """All files in a folder. Links are given as such, and never followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)
        else:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield File(PurePosixPath(entry.path).as_posix(), found.st_size, found.st_mtime, entry.is_symlink())


def sort_out(made: Sequence[Made], in_use: InUse, now: float) -> list[Row]:
    """All files that can go, and those that are of unknown origin, by path.

    Args:
        now: seconds since the epoch.
    """
    found = list(walk(RESULTS))
    traces = {file.path for file in found if file.path.startswith(TRACES)} | records().keys()
    explain = explainer(made, traces)
    states = [file for file in found if file.path.startswith(f"{STATES.as_posix()}/") and not LEFTOVER.search(file.path)]
    others = dict.fromkeys(found).keys() - dict.fromkeys(states).keys()
    rows = [row for file in others if (row := row_of(file, in_use, explain, now))]
    rows += state_rows(states, in_use, explain, now)
    for folder in LOG_FOLDERS:
        old = [file for file in walk(folder) if now - file.changed > LOG_DAYS * DAY_S and not file.is_link]
        rows += [Row(file.path, file.bytes, "snakemake", f"a log or script older than {LOG_DAYS} days") for file in old]
    return sorted(rows)


Explain = Callable[[str], tuple[str, str] | None]
"""Stage and reason of a file that is not of use; None if no rule makes it."""


def row_of(file: File, in_use: InUse, explain: Explain, now: float) -> Row | None:
    """The line of a file, None if it has to stay."""
    path = file.path
    if LEFTOVER.search(path):
        return leftover(file, now)
    parents = [parent.as_posix() for parent in PurePosixPath(path).parents]
    if path in in_use.files or any(folder in in_use.folders for folder in (path, *parents)) or LOG_FOLDERS[-1] in parents:
        return None
    if file.is_link:
        return Row(path, file.bytes, UNKNOWN, "a link, which no rule makes: kept, as is what it points to")
    # Neither the list for an archive nor a log can name all that a system can.
    explained = None if re.search(r"[\n\\\ud800-\udfff]", path) else explain(path)
    if explained is None:
        return Row(path, file.bytes, UNKNOWN, "not made by the workflow: kept")
    if explained[0] == "human_sheet" and PurePosixPath(path).suffix in (".csv", ".xlsx") and not is_unfilled(file):
        return Row(path, file.bytes, UNKNOWN, "changed by somebody since it was written: kept")
    return Row(path, file.bytes, *explained)


def leftover(file: File, now: float) -> Row | None:
    """The line of a half-written file, if no job can be writing it any more."""
    if now - file.changed < LEFTOVER_DAYS * DAY_S or file.is_link:
        return None
    return Row(file.path, file.bytes, "leftover", "half-written by a job that was killed")


def is_unfilled(sheet: File) -> bool:
    """Whether a sheet is as its job wrote it: whoever fills it in changes it after the end of the job's log.

    Copies may have lost that order, so that there must be nothing in the columns to fill in either.
    """
    log = Path("results/logs") / Path(sheet.path).relative_to(RESULTS).with_suffix(".log")
    if not log.exists() or sheet.changed > log.stat().st_mtime:
        return False
    try:
        rows = read_sheet(sheet.path, [ID])
    except (UserError, OSError):
        return False
    return all(is_blank(cell) for _, row in rows for column, cell in row.items() if column not in SheetRow._fields)


def explainer(made: Iterable[Made], traces: Collection[str]) -> Explain:
    """How to tell the stage of a file that is not of use, and what of its wildcards the configuration lacks.

    A file is of a rule only if a job of the rule has left traces: people have files of their own, too, and call them as they like.

    Args:
        traces: logs, benchmarks, and the results that Snakemake has records of.
    """
    made = [one for one in made if one.jobs is not None]
    anywhere = known_values(job for one in made for job in one.jobs or ())
    own = {one.stage: known_values(one.jobs or ()) for one in made}
    files = [(re.compile(regex), one) for one in made for pattern, regex in one.files if "{" in pattern]
    logs = [(re.compile(regex), one) for one in made for pattern, regex in one.logs if "{" in pattern]
    folders = [(re.compile(regex), one) for one in made for _, regex in one.folders]

    def told(one: Made, wildcards: Mapping[str, str]) -> tuple[str, str]:
        # A value that nothing in the grid has says more than one that this stage lacks.
        return one.stage, missing_value(wildcards, anywhere) or missing_value(
            wildcards, own[one.stage]
        ) or "the grid has no such combination"

    @cache
    def logged(regex: str, names: tuple[str, ...]) -> set[tuple[str, ...]]:
        return {tuple(match[name] for name in names) for match in map(re.compile(regex).match, traces) if match}

    def has_logs(one: Made, wildcards: Mapping[str, str]) -> bool:
        # The name of a folder may lack wildcards that those of logs have.
        return any(
            pattern.format(**wildcards) in traces
            if set(re.findall(r"\{(\w+)\}", pattern)) <= wildcards.keys()
            else tuple(wildcards.values()) in logged(regex, tuple(wildcards))
            for pattern, regex in one.logs
        )

    def explain(path: str) -> tuple[str, str] | None:
        for regex, one in logs:
            if match := regex.match(path):
                return told(one, match.groupdict())
        for regex, one in files:
            if (match := regex.match(path)) and (path in traces or has_logs(one, match.groupdict())):
                return told(one, match.groupdict())
        for parent in map(PurePosixPath.as_posix, PurePosixPath(path).parents):
            for regex, one in folders:
                if (match := regex.match(parent)) and has_logs(one, match.groupdict()) and is_in_folder(parent, path):
                    return told(one, match.groupdict())
        return None

    return explain


def is_in_folder(folder: str, path: str) -> bool:
    """Whether a job, and not a person, has put a file into a folder that it fills."""
    name = path.removeprefix(f"{folder}/")
    if folder.startswith("results/trackers/") or BY_LIBRARIES.fullmatch(name):
        return True
    try:
        manifest = json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8"))
        return name in manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def known_values(jobs: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The values of each wildcard in the jobs that are of use, and of each axis in the names of their runs."""
    found: dict[str, set[str]] = {}
    for job in jobs:
        for name, value in job.items():
            found.setdefault(name, set()).add(str(value))
    for run in found.get("run", ()):
        for axis, value in axes_of(run).items():
            found.setdefault(f"run {axis}", set()).add(value)
    return found


def axes_of(run: str) -> dict[str, str]:
    """The axes in a run's name; none for names of other kinds."""
    parts = run.split("__")
    axes = Run._fields[1:]
    return dict(zip(axes, parts, strict=True)) if len(parts) == len(axes) else {}


def missing_value(wildcards: Mapping[str, str], known: Mapping[str, Collection[str]]) -> str | None:
    """Which value in a path the jobs that are of use do not have, if any."""
    for name, value in wildcards.items():
        axes = axes_of(value) if name == "run" else {}
        for axis, part in axes.items():
            if part not in known.get(f"run {axis}", [part]):
                number = part.removeprefix({"nb_samples": "n", "seed": "seed"}.get(axis, ""))
                return f"{axis} {number} is not in the grid"
        if not axes and value not in known.get(name, [value]):
            return f"{name} {value} is not in the grid"
    return None


def state_rows(files: Iterable[File], in_use: InUse, explain: Explain, now: float) -> Iterator[Row]:
    """The lines of states that are of no use any more, and of those of which nobody knows."""
    together: dict[Path, list[File]] = {}
    for file in files:
        family, _, name = Path(file.path).relative_to(STATES).as_posix().partition("/")
        # A state is a folder or a journal, with a description and a lock beside it.
        together.setdefault(STATES / family / Path(name.partition("/")[0]).stem, []).append(file)
    for state, parts in together.items():
        verdict = state_verdict(state, max(file.changed for file in parts), in_use, explain, now)
        if verdict and any(file.is_link for file in parts):
            verdict = (UNKNOWN, "a link, which no rule makes: kept, as is what it points to")
        if verdict:
            yield from (Row(file.path, file.bytes, *verdict) for file in parts)


def state_verdict(state: Path, changed: float, in_use: InUse, explain: Explain, now: float) -> tuple[str, str] | None:
    """Stage and reason of a state that can go, or whose use is unknown; None if it has to stay.

    Args:
        state: its place, without an ending.
        changed: when something of it was changed last.
    """
    family, whose = state.parent.name, whose_state(state)
    stage = f"state of {family}"
    if family == "judgements":
        return None if state.name in in_use.judges else (stage, "no judge of the configuration asks in this way")
    if family == "scores":
        if settings := whose.get("settings"):
            known = fingerprint(settings) in in_use.scorers
        else:
            known = state.name.rpartition("-")[0] in in_use.scorer_types
        return None if known else (stage, "no scorer of the configuration has these settings")
    result = whose.get("result")
    if family not in ("training", "predictions") or not isinstance(result, str):
        days = (now - changed) / DAY_S
        if family in ("training", "predictions") and days > STATE_DAYS:
            return stage, f"it does not say whose it is, and has not changed for {STATE_DAYS} days"
        return UNKNOWN, f"it does not say whose it is: kept ({days:.0f} days old)"
    if result not in in_use.files:
        explained = explain(result)
        return stage, explained[1] if explained else "the workflow has no such result"
    finished = Path(result)
    if finished.exists() and finished.stat().st_mtime > changed:
        return stage, "its result is finished"
    return None


# The list


def write_list(rows: Iterable[Row], configuration: str) -> None:
    """Write the list as a table, and the paths that can go as plain lines."""
    rows = list(rows)
    with written_whole(LIST) as temporary, open(temporary, "w", encoding="utf-8", errors=ODD, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*Row._fields, "configuration"])
        writer.writerows([*row, configuration] for row in rows)
    with written_whole(ARCHIVE_LIST) as temporary:
        temporary.write_text("".join(f"{row.path}\n" for row in rows if row.stage != UNKNOWN), "utf-8", ODD)


def read_list(configuration: str) -> set[tuple[str, int]]:
    """Path and size of every file in the list.

    Raises:
        UserError: where there is none, or one for another configuration, or one that cannot be read.
    """
    again = "Run 'snakemake --cores 1 prunable', read what it lists, then prune."
    try:
        with open(LIST, encoding="utf-8", errors=ODD, newline="") as file:
            listed = list(csv.DictReader(file))
        if any(row["configuration"] != configuration for row in listed):
            raise UserError(f"{LIST}: this list was made for another configuration, so that nothing is removed. {again}")
        return {(row["path"], int(row["bytes"])) for row in listed}
    except FileNotFoundError:
        raise UserError(f"{LIST}: there is no such list, so that nothing is removed. {again}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{LIST}: expected the columns path, bytes and configuration, as prunable writes them. {again}") from None


def summary(rows: Iterable[Row]) -> str:
    """Files and megabytes by stage and by reason, for the screen."""
    rows = list(rows)
    going = [row for row in rows if row.stage != UNKNOWN]
    if not going:
        text = "Nothing under results/ can go: the configuration asks for all that the workflow has made."
    else:
        by_stage = _counted(going, lambda row: row.stage)
        by_reason = _counted(going, lambda row: row.why)
        more = [f"and {len(by_reason) - REASONS} reasons more, in the list"] if len(by_reason) > REASONS else []
        reasons = ["because", *by_reason[:REASONS], *more]
        text = "\n".join([f"{'files':>9} {'MB':>11}", *by_stage, *reasons, *_counted(going, lambda _: "in all")])
    kept = len(rows) - len(going)
    return text + (f"\n{kept} files are not known to the workflow, or changed by somebody, and are kept." if kept else "")


def _counted(rows: Sequence[Row], key: Callable[[Row], str]) -> list[str]:
    files, sizes = Counter(map(key, rows)), Counter[str]()
    for row in rows:
        sizes[key(row)] += row.bytes
    return [f"{files[name]:>9,} {size / 1e6:>11,.1f}  {name}" for name, size in sizes.most_common()]


# Removing


def check_alone() -> None:
    """Make sure that no Snakemake computes in this folder.

    Raises:
        UserError: where one does, or was killed.
    """
    if any(Path(".snakemake/locks").glob("*.lock")):
        raise UserError(
            "Another snakemake works in this folder, or was killed (then: snakemake --unlock). Nothing is removed; prune when it has ended."
        )


def remove(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Remove files, and the folders that are empty then.

    Returns:
        What is gone, and a sentence for each file that could not be removed.
    """
    gone, problems, folders = [], [], set()
    # By its log a result is told from a file of somebody's, also by the next call if this one is interrupted.
    for row in sorted(rows, key=lambda row: row.path.startswith(TRACES)):
        path = Path(row.path)
        if row.path.startswith(f"{STATES.as_posix()}/") and is_held(path.with_suffix(".lock")):
            problems.append(f"{path}: a job uses it just now; kept.")
            continue
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path}: {error.strerror}; kept.")
            continue
        gone.append(row)
        folders.add(path.parent)
    for folder in folders:
        _remove_empty(folder)
    return gone, problems


def _remove_empty(folder: Path) -> None:
    # Snakemake takes a folder without some of its own folders for one of an old version.
    while len(folder.parts) > (2 if folder.parts[0] == ".snakemake" else 1):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def records() -> dict[str, list[Path]]:
    """Snakemake's records by the result that they are about.

    A record is a file whose path, `@` before each folder, is the result's path in the URL-safe form of Base64.
    """
    found: dict[str, list[Path]] = {}
    for folder in (".snakemake/metadata", ".snakemake/incomplete"):
        for path in (Path(file.path) for file in walk(folder)):
            encoded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            with suppress(ValueError):
                found.setdefault(urlsafe_b64decode(encoded).decode(), []).append(path)
    return found


def forget(in_use: Collection[str]) -> int:
    """Remove Snakemake's records of results that are gone and are not asked for, and say of how many."""
    gone = {
        result: paths
        for result, paths in records().items()
        if result.startswith(f"{RESULTS}/") and result not in in_use and not os.path.lexists(result)
    }
    for path in (path for paths in gone.values() for path in paths):
        path.unlink(missing_ok=True)
        _remove_empty(path.parent)
    return len(gone)
