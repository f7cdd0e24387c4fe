"""Signals that ask a process to end, also while it is on its way out."""

import os
import signal
import subprocess
import sys

import pytest

from loragrid.runtime.interruptions import SIGNALS, postponed_signals

ENDING = """
import atexit, resource, signal, sys
from loragrid.runtime.interruptions import postponed_signals

first, further = (getattr(signal, name) for name in sys.argv[1:])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
# Shells have what runs in the background ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


class Last:
    # Python has taken its own handlers away when the objects of modules end.
    def __del__(self, raise_signal=signal.raise_signal):
        raise_signal(further)


last = Last()
atexit.register(signal.raise_signal, further)
try:
    with postponed_signals() as signalled:
        signal.raise_signal(first)
        signal.raise_signal(further)
        raise ValueError(f"stopped by {signalled()}")
except ValueError as error:
    signal.raise_signal(further)
    sys.exit(str(error))
"""


def ending(first, further):
    command = [sys.executable, "-c", ENDING, first.name, further.name]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": "workflow/scripts"}, capture_output=True, text=True)


@pytest.mark.parametrize("further", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_process_that_is_asked_to_end_again_and_again_ends_as_after_the_first_time(first, further):
    process = ending(first, further)
    assert process.returncode == 1
    assert process.stderr == f"stopped by {first.name}\n"


@pytest.mark.parametrize("further", [signal.SIGQUIT, signal.SIGKILL])
def test_process_that_has_been_asked_to_end_can_be_ended_at_once(further):
    assert ending(signal.SIGINT, further).returncode == -further


@pytest.mark.parametrize("failing", [False, True])
def test_process_that_was_not_asked_to_end_has_its_handlers_back(failing):
    def handler(number, frame):
        pass

    former = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        try:
            with postponed_signals() as signalled:
                assert handler not in map(signal.getsignal, SIGNALS)
                assert not signalled()
                if failing:
                    raise ValueError
        except ValueError:
            assert failing
        assert [signal.getsignal(number) for number in SIGNALS] == [handler] * len(SIGNALS)
    finally:
        for number, usual in former.items():
            signal.signal(number, usual)
