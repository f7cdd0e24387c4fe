"""Finished answers of a job, kept on disk so that they survive its death."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

from loragrid.runtime.files import keep_entries, written_whole
from loragrid.runtime.job import log
from loragrid.runtime.locks import lock_open_file
from loragrid.runtime.states import named_aside, set_aside

Entry = TypeVar("Entry")

NAME = "journal"
"""Key in the first line, which holds the journal's name. Journals of earlier versions do not have it."""


def as_it_is(_: str, value: Any) -> Any:
    """The value of an entry, whatever it is."""
    return value


def read_journal(path: Path, parse: Callable[[str, Any], Entry] = as_it_is) -> dict[str, Entry]:
    """All finished entries by key. A torn last line is cut off. Damaged lines are left out, and a copy of them is set aside.

    A journal that cannot be read, or is that of other work, is set aside as a whole.

    Args:
        parse: makes of key and value what is kept. It raises a TypeError, ValueError or KeyError if they are no entry.
    """
    if not os.path.lexists(path):
        return {}
    try:
        with open(path, "r+b") as file:
            _cut_torn_end(file)
            file.seek(0)
            content = file.read()
            lines = [line for line in content.split(b"\n") if line]
            parsed = [_parse_line(line, parse) for line in lines]
            damaged = len([found for found in parsed if found is None])
            if damaged:
                with written_whole(named_aside(path)) as copy:
                    copy.write_bytes(content)
                # Others may wait for this very file.
                file.seek(0)
                file.write(b"".join(line + b"\n" for line, found in zip(lines, parsed, strict=True) if found is not None))
                file.truncate()
                os.fsync(file.fileno())
    except OSError as error:
        set_aside(path, error.strerror or str(error))
        return {}
    if damaged:
        said = "%s: %d of %d lines are damaged and left out; %s is a copy of what was there"
        log.warning(said, path, damaged, len(lines), named_aside(path))
    entries: dict[str, Any] = {}
    for found in parsed:
        entries |= found or {}
    if not _is_of(path, entries.pop(NAME, None)):
        set_aside(path, "it is the journal of other work")
        return {}
    return entries


def damaged_lines(path: Path) -> tuple[int, int]:
    """How many lines of a journal are damaged, and how many it has. A torn last line, which a job may be writing, is left out.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is the journal of other work.
    """
    lines = [line for line in path.read_bytes().rpartition(b"\n")[0].split(b"\n") if line]
    parsed = [_parse_line(line, as_it_is) for line in lines]
    for found in parsed:
        if not _is_of(path, (found or {}).get(NAME)):
            raise ValueError("it is the journal of other work")
    return len([found for found in parsed if found is None]), len(lines)


def _parse_line(line: bytes, parse: Callable[[str, Any], Entry]) -> dict[str, Any] | None:
    """The entries of a line; None if it is damaged."""
    try:
        found = json.loads(line.decode())
        if not isinstance(found, dict):
            return None
        return {key: value if key == NAME else parse(key, value) for key, value in found.items()}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _is_of(path: Path, name: Any) -> bool:
    """Whether a journal that says this name may be at this path. A judge's journal gets the name of its server later."""
    return name is None or path.stem == name or path.stem.startswith(f"{name}-")


def append_to_journal(path: Path, entries: Mapping[str, Any]) -> None:
    """Add entries that belong together. Whatever happens next, either all of them survive or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        # Another job may have died and left an unfinished line, which would make one broken line with this one.
        _cut_torn_end(file)
        begun = {} if file.tell() else {NAME: path.stem}
        file.write(json.dumps({**begun, **entries}, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if begun:
        keep_entries(path.parent)


def _cut_torn_end(file: IO[bytes]) -> None:
    """Lock a journal until it is closed, cut off a torn last line, and go to the end."""
    # Several jobs may share a journal. A line that another job is still writing only looks torn.
    lock_open_file(file)
    if size := file.seek(0, os.SEEK_END):
        file.seek(size - 1)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
