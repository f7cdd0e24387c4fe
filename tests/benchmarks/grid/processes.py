"""Processes, and what they take."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

STAGES = ("train", "check", "predict", "score")
ALONE = ("--set-resources", *(f"{stage}:jobs_per_process=1" for stage in STAGES))
"""Makes every process do its own job only."""


class Cost(NamedTuple):
    """What a process took, with all that it started."""

    wall_s: float
    cpu_s: float
    work_s: float = 0.0
    """Seconds of processors in which it trained, generated or scored."""

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Cost(0.0, 0.0)


def tell(text: str) -> None:
    """Show what is going on."""
    print(text, file=sys.stderr, flush=True)


def run(command: Sequence[str], folder: Path, **variables: str) -> tuple[Cost, str]:
    """What a process took, and what it said.

    Raises:
        SystemExit: with the end of what it said, where it fails.
    """
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "OMP_NUM_THREADS")
    }
    environment = inherited | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"} | variables
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        # Of a process that has been waited for, the usage counts all that it has waited for itself.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise SystemExit(f"{text[-6000:]}\n{' '.join(map(str, command))} failed: see above.")
    return Cost(wall, usage.ru_utime + usage.ru_stime), text


def snakemake(folder: Path, cores: int, *arguments: str) -> Cost:
    """What Snakemake and its jobs took."""
    cost, _ = run([sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments], folder)
    return cost


def told(text: str) -> dict[str, Any]:
    """The last line of what a script said, which is JSON."""
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def work_in(results: Path) -> float:
    """Seconds in which jobs trained and generated answers for predictions, times their threads, by their manifests."""
    seconds = 0.0
    manifests = [*results.glob("adapters/**/manifest.json"), *results.glob("predictions/**/*.manifest.json")]
    for path in manifests:
        manifest: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        seconds += (manifest.get("training_s") or manifest.get("generation_s") or 0.0) * manifest["hardware"]["threads"]
    return seconds
