"""Signals that ask a job to end: SIGTERM, which a cluster sends some seconds before it kills, and SIGINT, which is Ctrl-C.

One request may come as several signals: a terminal and a cluster signal all processes of a job, and some of these pass them on.
A job cannot tell that from a second request, so it takes all signals for one. SIGQUIT and SIGKILL end it at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def ignore_signals() -> None:
    """Make this process, and the processes that it starts, ignore signals that ask them to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def was_asked_to_end() -> bool:
    """Whether a signal has asked this process to end, wherever it was noted. Python may have dropped its exception."""
    return signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


class Interrupted(BaseException):
    """A signal asked this process to end."""


@contextmanager
def raised_signals() -> Iterator[None]:
    """Let SIGTERM and SIGINT end the block at once, by `Interrupted`. Only for the main thread.

    Once a signal has come, the process ignores further ones until it has ended, so that nothing disturbs it on its way out.
    """

    def end(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        raise Interrupted(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is end:
                signal.signal(number, handler)


@contextmanager
def postponed_signals() -> Iterator[Callable[[], str]]:
    """Let SIGTERM and SIGINT wait: the block asks whether one has come, and ends when it suits.

    Once a signal has come, the process ignores further ones until it has ended, also after the block: none may kill it before it
    has said why it ends. If none has come, the former handlers are back after the block. Only for the main thread.

    Yields:
        A function that gives the name of the first signal, or an empty text as long as none has come.
    """
    came: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: came[0] if came else ""
    finally:
        if not came:
            for number, handler in before.items():
                signal.signal(number, handler)
        # A signal may have come in the meantime. `note` cannot stay: Python removes its handlers before the process has ended.
        if came:
            ignore_signals()
