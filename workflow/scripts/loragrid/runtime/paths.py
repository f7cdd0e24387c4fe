"""Paths that users write: what is wrong with one that names no file, and what to write instead."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from glob import has_magic, iglob
from itertools import islice
from pathlib import Path

from loragrid.runtime.files import is_lfs_pointer

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
HUB = re.compile(r"(?:hf://|https?://(?:www\.)?huggingface\.co/)(datasets/)?([^/\s@]+/[^/\s@]+)", re.IGNORECASE)
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
MOST_NAMED = 5
"""How many files of a folder are named."""


def file_problem(path: str) -> str | None:
    """Why a path cannot be read as one file of this machine, as the end of a sentence after the path; None if it can."""
    file = Path(path)
    if "\0" in path:
        return "holds a NUL byte, as no path does."
    try:
        if file.is_file() and not os.access(file, os.R_OK):
            return "cannot be read: permission denied."
        if file.is_file():
            return (
                "is a pointer of Git LFS, not the data; fetch the content with `git lfs pull`." if is_lfs_pointer(file) else None
            )
        is_folder, is_there = file.is_dir(), file.exists()
    except (OSError, ValueError) as error:
        return f"cannot be a path ({getattr(error, 'strerror', None) or error})."
    if is_folder:
        return f"is a folder; expected one file{_named_in(file)}."
    return "is no file; expected one." if is_there else absence(path)


def _named_in(folder: Path) -> str:
    files = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    if not files:
        return ""
    return f": it holds {', '.join(files[:MOST_NAMED])}{', …' if len(files) > MOST_NAMED else ''}"


def absence(path: str) -> str:
    """Why there is nothing at a path, as far as its form tells; the end of a sentence."""
    if Path(path).is_symlink():
        target = os.readlink(path)  # noqa: PTH115 (as it is written)
        how = "; fetch the content with `git annex get`" if ".git/annex" in target else ""
        return f"is a link to '{target}', which does not exist{how}."
    if hub := HUB.match(path):
        how = f"`hub: {hub[2]}` with its `revision`{' and `splits`' if hub[1] else ''}"
        return f"is an address of the hub; for a {'data set' if hub[1] else 'model'} of the hub write {how}."
    if address := ADDRESS.match(path):
        if address[1].lower() == "file":
            return f"is an address; write the path alone: '{path[len(address[0]) :]}'."
        how = {"s3": " (aws s3 cp)", "gs": " (gsutil cp)", "http": " (curl -O)", "https": " (curl -O)"}.get(
            address[1].lower(), ""
        )
        return f"is an address; expected a file on this machine: fetch it first{how}, and name the file."
    if path.startswith("~"):
        return f"begins with '~', which is not replaced here; write '{_home(path)}'."
    if "$" in path and (expanded := os.path.expandvars(path)) != path:
        return f"holds a variable, which is not replaced here; write '{expanded}'."
    if DRIVE.match(path):
        return "is a path of Windows; write it as this system has it, as in '/mnt/c/data/rows.csv'."
    if "\\" in path:
        return f"does not exist; folders are separated by '/', as in '{path.replace(chr(92), '/')}'."
    if has_magic(path):
        signs = "signs such as * and ? are not replaced"
        return f"does not exist{_fitting(path)}: {signs}; name one file, or join several in a builder."
    return f"does not exist{_alike(path)}"


def _home(path: str) -> str:
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        return f"/home/{path[1:]}"


def _fitting(pattern: str) -> str:
    """How many files a pattern fits."""
    matches = list(islice(iglob(pattern), 1000))  # noqa: PTH207 (Path.glob takes no absolute pattern)
    what = f"'{matches[0]}'" if len(matches) == 1 else f"{len(matches)} files"
    return f", though it fits {what}" if matches else ""


def _alike(path: str) -> str:
    """A hint at a file that has nearly this path."""
    stripped = path.strip().strip("'\"")
    if stripped != path and Path(stripped).exists():
        return f"; did you mean '{stripped}'?"
    folder = Path(path).parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    match = get_close_matches(Path(path).name, names, n=1, cutoff=0.8)
    return f"; did you mean '{folder / match[0]}'?" if match else "."


def shown(path: str | Path) -> str:
    """A path for messages. What is meant as an address may hold credentials."""
    text = re.sub(r"://[^/@\s]*@", "://", str(path))
    return text.partition("?")[0] if ADDRESS.match(text) else text
