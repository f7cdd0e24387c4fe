"""Sentences about what the system refuses: a file that may not be read, a disk that is full."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_REASONS = {
    errno.EACCES: "you may not read or write it; see its permissions",
    errno.EPERM: "you may not read or write it; see its permissions",
    errno.ENOSPC: "the disk is full; make room and start again",
    errno.EDQUOT: "your share of the disk is used up; make room and start again",
    errno.EROFS: "its file system is read-only",
    errno.ENAMETOOLONG: "its name is too long for the file system",
    errno.EIO: "the disk fails to read or write",
    errno.EMFILE: "too many files are open",
}


def cannot(path: Path | str, error: OSError) -> str:
    """The sentence about a file that the system does not read or write."""
    reason = _REASONS.get(error.errno or 0, error.strerror or type(error).__name__)
    return f"{path}: {reason}."


def unexpected(error: Exception) -> str:
    """The sentence about an error that nobody foresaw; where the system is the reason, it says so."""
    number = error.errno if isinstance(error, OSError) else _number_within(str(error))
    if isinstance(error, OSError) and error.filename is not None and number in _REASONS:
        return cannot(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename), error)
    if number in _REASONS:
        return f"a file of this job cannot be written or read: {_REASONS[number]} ({error})."
    return f"{type(error).__name__}: {error}"


def _number_within(said: str) -> int | None:
    """The system's number of an error that a library tells in words, as safetensors and torch do."""
    if found := re.search(r"os error (\d+)", said):
        return int(found[1])
    return next((number for number in (errno.ENOSPC, errno.EDQUOT) if os.strerror(number) in said), None)
