"""Torch's lock on the build of a C++ extension, mended so that it ends with the process that holds it.

DeepSpeed's optimiser for CPUs and some kernels of quantized weights are compiled when they are first used. Torch takes the
existence of a file for the lock. A job that was killed while it compiled left the file, and all later jobs waited for ever,
without a word (https://github.com/pytorch/pytorch/issues/189245). The patch can go with a torch that has pull request 190543.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch.utils import file_baton

log = logging.getLogger("loragrid")


class KernelBaton(file_baton.FileBaton):
    """A lock of the kernel beside torch's file, which other programs look for. Where there are no such locks, the file alone."""

    def __init__(self, lock_file_path: str, *others: Any, **named: Any) -> None:
        super().__init__(lock_file_path, *others, **named)
        self.kernel_lock = FileLock(f"{lock_file_path}.held", fallback_to_soft=False)

    def try_acquire(self) -> bool:
        """Take the lock if no living process holds it; whether it was taken."""
        with suppress(OSError):
            try:
                self.kernel_lock.acquire(blocking=False)
            except Timeout:
                return False
            with suppress(FileNotFoundError):
                Path(self.lock_file_path).unlink()
        return bool(super().try_acquire())

    def wait(self) -> None:
        """Wait until the process that builds has ended or is done."""
        log.info("another process compiles %s: waiting for it", Path(self.lock_file_path).parent)
        try:
            with self.kernel_lock:
                return
        except OSError:
            super().wait()

    def release(self) -> None:
        """Let others go on."""
        super().release()
        self.kernel_lock.release()


def end_builds_with_their_process() -> None:
    """Have torch take locks of the kernel when an extension is built in this process from now on."""
    file_baton.FileBaton = KernelBaton  # type: ignore[misc]
    if builder := sys.modules.get("torch.utils.cpp_extension"):
        builder.FileBaton = KernelBaton  # type: ignore[attr-defined]
