"""Signals that ask a job to end: SIGTERM, as a cluster sends it some seconds before it kills, and SIGINT, which is Ctrl-C.

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
    """Have this process and those that it starts go on when a signal asks them to end."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def postponed_signals() -> Iterator[Callable[[], str]]:
    """Let SIGTERM and SIGINT wait: the block asks whether one has come, and ends when it suits.

    Once one has come, the process ignores further ones until it has ended, also after the block: none may kill it before it has
    said why it ends. Where none has come, the block gives the former handlers back. Only for the main thread.

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
        if not came:
            for number, handler in before.items():
                signal.signal(number, handler)
        # One may have come just now. `note` cannot stay: Python takes its handlers away before the process has ended.
        if came:
            ignore_signals()
