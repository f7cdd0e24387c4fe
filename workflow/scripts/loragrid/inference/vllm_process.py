"""The process in which vLLM runs. `vllm_worker.py` is its other end.

The process gets one JSON object per line. The first is the model: `arguments` of `vllm.LLM`. Each following object is an order:
`questions` with `ids`, `seed` and `adapter`; `adapters`, the folders of those that are asked, by name; `sampling`, the arguments
of `SamplingParams`; and `alone`, whether each question is answered by itself. The process writes what it computes with, then one
answer per line. If `sampling` asks for them, an answer has `prompt_logprobs`: a number for each token of its question but the
first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.errors import UserError
from loragrid.runtime.gpu_leases import lease_files

WORKER = Path(__file__).with_name("vllm_worker.py")


class Start(NamedTuple):
    """What a process is started with."""

    python: str
    arguments: dict[str, Any]
    """Of `vllm.LLM`, but those about adapters."""
    picks_dtype: bool
    """Whether the process picks the number type that suits its device."""
    slots: int = 0
    """How many adapters are loaded at the same time, and one more. With as many slots as adapters, vLLM 0.32 on a CPU answers
    questions to the base model with the adapter in the last slot. 0: none is ever loaded."""
    rank: int = 0
    """The largest rank of an adapter."""

    def serves(self, wanted: Start) -> bool:
        """Whether a process that was started so answers what another would be started for."""
        return self._replace(slots=wanted.slots, rank=wanted.rank) == wanted and (
            not wanted.slots or (self.slots > 1 and self.rank >= wanted.rank)
        )

    def message(self) -> dict[str, Any]:
        """The first object that the process gets."""
        about_adapters = {"enable_lora": True, "max_loras": self.slots, "max_lora_rank": self.rank} if self.slots else {}
        return {"arguments": about_adapters | self.arguments, "picks_dtype": self.picks_dtype}


class Worker(NamedTuple):
    """A process with vLLM that has loaded a model."""

    process: subprocess.Popen[str]
    start: Start
    about: dict[str, Any]
    """`version`, `device` and `dtype`."""
    numbers: Iterator[int]
    """New numbers: vLLM knows adapters by name, and no name may come back for another one."""


@contextmanager
def started(start: Start) -> Iterator[Worker]:
    """Start vLLM.

    Raises:
        UserError: if vLLM is not installed, or ends by itself.
    """
    process = _process(start.python)
    try:
        about = answer_to(process, start.message())
        if about.get("is_missing"):
            raise UserError(
                f"engine: type: vllm needs the package vllm, which {start.python} does not find: {start.python} -m pip install "
                "vllm, or set engine.python to the Python of an environment that has it."
            )
        yield Worker(process, start, about, count(1))
    except BaseException:
        process.terminate()
        raise
    finally:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _process(python: str) -> subprocess.Popen[str]:
    if not os.access(python, os.X_OK):
        raise UserError(f"engine.python: '{python}' is no program.")
    return subprocess.Popen(
        # -P: the files beside the worker must not be taken for packages of its environment.
        [python, "-P", str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Python would hand over an open log file only as the standard stream that it replaces.
        stderr=sys.stderr.fileno(),
        encoding="utf-8",
        env=environment(),
        # The process ends by itself when nobody reads its answers any more.
        pass_fds=lease_files(),
    )


def environment() -> dict[str, str]:
    """Environment of the process: values that suit one job on one machine, unless the user has set others."""
    usual = {"VLLM_NO_USAGE_STATS": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}
    foreign = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
    return usual | {key: value for key, value in os.environ.items() if key not in foreign}


def answer_to(process: subprocess.Popen[str], message: dict[str, Any]) -> dict[str, Any]:
    """Send an object, and read the next one."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
    return next_answer(process)


def next_answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next object that the process writes.

    Raises:
        UserError: if it has ended.
    """
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        reply: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        # Nothing, or half a line.
        raise UserError(f"vLLM ended with exit status {process.wait()}; what it said is in the log.") from None
    return reply
