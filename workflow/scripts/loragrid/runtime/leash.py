"""Processes that end with their parent. `python -m loragrid.runtime.leash MODULE ARGUMENT…` runs a module in this way."""

from __future__ import annotations

import ctypes
import runpy
import signal
import sys


def end_with_parent() -> None:
    """Have the system kill this process when its parent ends, in whatever way. Only Linux can do so; elsewhere nothing happens.

    A job that is killed cannot stop its children. They would go on to fill GPUs and write results that nobody expects.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL))


if __name__ == "__main__":
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
