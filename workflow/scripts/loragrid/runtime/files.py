"""Results on disk: written whole, hashed, described.

A file takes its place only when it is on the disk with all its bytes, and so does the entry of its folder. Otherwise a power cut
could leave a finished name with nothing behind it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_LONGEST_POINTER = 1024
"""A pointer of Git LFS is shorter than so many bytes, by its specification."""


def partial_name(name: str) -> str:
    """The name of a folder while it is written as a whole."""
    return f".{name}.partial"


def place_of(output: str | Path, kept_in: str | None) -> Path:
    """Where a job writes an output: in its place, or under its own name in a folder in which the job keeps its outputs."""
    return Path(kept_in) / Path(output).name if kept_in else Path(output)


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place only if the block succeeds. Several jobs may write the same path."""
    path = Path(path)
    # No longer than the usual name: that may be as long as a file system allows.
    temporary = path.with_name(f".{fingerprint(path.name)[:8]}-{secrets.token_hex(4)}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(folder: str | Path) -> Iterator[Path]:
    """A temporary folder whose entries move into `folder` only if the block succeeds. Only one job at a time may do so."""
    folder = Path(folder)
    temporary = folder.parent / partial_name(folder.name)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        keep(temporary)
        folder.mkdir(exist_ok=True)
        # A manifest comes last: where it is, the rest is.
        for entry in sorted(temporary.iterdir(), key=lambda entry: (entry.name == "manifest.json", entry.name)):
            if (folder / entry.name).is_dir():
                shutil.rmtree(folder / entry.name)
            os.replace(entry, folder / entry.name)
        keep_entries(folder)
        keep_entries(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file or folder its name, for good: a power cut leaves what was there before, or all of this."""
    keep(temporary)
    os.replace(temporary, path)
    keep_entries(path.parent)


def keep(path: Path) -> None:
    """Wait until a file, or a folder with all its files, is on the disk."""
    if path.is_dir():
        for entry in path.iterdir():
            if not entry.is_symlink():
                keep(entry)
        keep_entries(path)
    else:
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def keep_entries(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    # Some network file systems cannot do this for a folder. They keep names by themselves.
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


_LARGE = 2**24
"""Bytes. To hash a file of that size takes longer than a clock of a file system needs for its next tick."""

_hashes: dict[tuple[int, ...], str] = {}
"""Of large files, by what changes with their content."""


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes. A process reads a large file once, unless it has changed since."""
    with open(path, "rb") as file:
        found = os.fstat(file.fileno())
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if (known := _hashes.get(state)) is None:
            known = hashlib.file_digest(file, "sha256").hexdigest()
        if found.st_size >= _LARGE:
            _hashes[state] = known
    return known


def tree_sha256(path: str | Path) -> str:
    """SHA-256 of a file, or of the sorted `sha256  path` lines of a folder's files."""
    path = Path(path)
    if path.is_file():
        return file_sha256(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listing = "".join(f"{file_sha256(path / file)}  {file}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def is_lfs_pointer(path: str | Path) -> bool:
    """Whether a file is a pointer of Git LFS: a short text in place of the content."""
    path = Path(path)
    start = b"version https://git-lfs.github.com/spec/"
    return path.stat().st_size < _LONGEST_POINTER and path.read_bytes().startswith(start)


def fingerprint(value: Any) -> str:
    """SHA-256 of plain data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def half_character(value: Any) -> str:
    """The first half of a character in a value of JSON, as JSON spells it; empty if a file can hold all of its texts."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(error.object[error.start]):04x}"
    return ""


def storable(text: str) -> str:
    """A text that a file can hold. A half character, which a server may leave where it cuts an answer off, becomes `?`."""
    return text.encode(errors="replace").decode()
