"""Signals that ask a job to end: SIGTERM, as a cluster sends it some seconds before it kills, and SIGINT, which is Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def ignore_signals() -> None:
    """Have this process and those that it starts go on when a signal asks them to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def postponed_signals() -> Iterator[Callable[[], str]]:
    """Let SIGTERM and SIGINT wait: the block asks whether one has come, and ends when it suits.

    They come more than once where several processes pass them on, and are then one request. Only for the main thread.

    Yields:
        A function that gives the name of the first signal; an empty one as long as there is none.
    """
    came: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: came[0] if came else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
