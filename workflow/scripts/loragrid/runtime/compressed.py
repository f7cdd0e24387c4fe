"""Compressed files and archives: opened, and their damage told from other errors."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""What opens a compressed file, by the end of its name."""

RAISED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


def opened(path: Path) -> IO[bytes]:
    """The content of a file, uncompressed if its name says that it is compressed."""
    opener: Any = OPENERS.get(path.suffix.lower(), open)
    file: IO[bytes] = opener(path, "rb")
    return file


def damage(error: Exception) -> str | None:
    """What is wrong with a file by an error of Python's readers; None if the error says nothing about the file.

    Files may be cut, damaged or encrypted, or be something else.
    """
    # The system's own errors, such as a full disk, have a number. A damaged place in a file may lie before its beginning.
    if isinstance(error, RAISED) or (isinstance(error, OSError) and error.errno in (None, errno.EINVAL)):
        first, _, _ = str(error).strip().partition("\n")
        return first.rstrip(".:") or type(error).__name__
    return None
