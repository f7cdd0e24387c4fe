"""The standard streams of a job: its log, which gets no secrets, and an input that answers nothing."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TextIO

from loragrid.runtime.redaction import redacted

_LONGEST_LINE = 1 << 16
"""Bytes. A longer line is written in parts. No pipe holds more."""
_PATIENCE_S = 5.0
"""So long is waited for what subprocesses have written, when a job ends."""
_COMMANDS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What a terminal that shows the log would obey: controls but tabs and ends of lines, and marks that turn text around."""


class _Redacting(io.RawIOBase):
    """A file that gets whole lines without secrets. Subprocesses write to it through a pipe.

    Lines for which there is no room are left out: they are not worth the work that the job does.
    """

    is_cut = False
    """Whether lines were left out."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - it is open as long as this one
        self._lock, self._waiting, self._waiting_of_others = threading.Lock(), b"", b""
        self._pipe: int | None = None
        self._reading: int | None = None
        self._copying: threading.Thread | None = None

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override] # it gets bytes or a view of them
        content = bytes(content)
        with self._lock:
            # What subprocesses wrote before stands before.
            self._take_over()
            self._waiting = self._without_whole_lines(self._waiting + content)
        return len(content)

    def _without_whole_lines(self, content: bytes) -> bytes:
        end, bar = content.rfind(b"\n") + 1, content.rfind(b"\r") + 1
        # A progress bar writes itself as a whole, and ends no line until the next time.
        if bar > end or (not end and len(content) > _LONGEST_LINE):
            end = len(content)
        self._put(content[:end])
        return content[end:]

    def _put(self, content: bytes) -> None:
        if content:
            parts = re.split(r"(\r|\n)", content.decode("utf-8", errors="replace"))
            text = _COMMANDS.sub(lambda found: repr(found[0])[1:-1], "".join(redacted(part) for part in parts))
            try:
                self._file.write(text.encode("utf-8", errors="backslashreplace"))
            except OSError:
                self.is_cut = True

    def fileno(self) -> int:
        """A pipe for subprocesses, whose lines go the same way."""
        if self._pipe is None:
            reading, self._pipe = os.pipe()
            os.set_blocking(reading, False)
            self._reading = reading
            self._copying = threading.Thread(target=self._copy, args=(reading,), daemon=True)
            self._copying.start()
        return self._pipe

    def _copy(self, reading: int) -> None:
        poll = select.poll()
        poll.register(reading, select.POLLIN)
        is_open = True
        while is_open:
            poll.poll()
            with self._lock:
                is_open = self._take_over()
        with self._lock:
            self._put(self._waiting_of_others)
            self._reading = None
        os.close(reading)

    def _take_over(self) -> bool:
        """Write what is in the pipe. False if nobody can write there any more. To be called under the lock."""
        if self._reading is None:
            return False
        try:
            chunk = os.read(self._reading, _LONGEST_LINE)
        except BlockingIOError:
            return True
        self._waiting_of_others = self._without_whole_lines(self._waiting_of_others + chunk)
        return bool(chunk)

    def close(self) -> None:
        if self.closed:
            return
        if self._pipe is not None and self._copying is not None:
            os.close(self._pipe)
            # A process that outlives the job keeps the pipe open.
            self._copying.join(_PATIENCE_S)
        with self._lock:
            self._put(self._waiting)
            self._file.close()
        super().close()


class Log(NamedTuple):
    """A job's log."""

    file: TextIO
    is_cut: Callable[[], bool]
    """Says whether lines were left out, for which there was no room."""


@contextlib.contextmanager
def log_file(path: str) -> Iterator[Log]:
    """A job's log, line by line, from which secrets are cut."""
    lines: Any = _Redacting(path)
    with io.TextIOWrapper(io.BufferedWriter(lines), encoding="utf-8", errors="backslashreplace", line_buffering=True) as file:
        yield Log(file, lambda: lines.is_cut)


@contextlib.contextmanager
def no_input() -> Iterator[None]:
    """An empty standard input, for this process and for those that it starts: nothing answers what a library might ask."""
    before = sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:
        try:
            kept = os.dup(0)
        except OSError:
            # There is none.
            kept = None
        try:
            os.dup2(nothing.fileno(), 0)
            sys.stdin = nothing
            yield
        finally:
            sys.stdin = before
            if kept is not None:
                os.dup2(kept, 0)
                os.close(kept)
