"""What a job itself took, where one process works for several jobs.

Snakemake measures processes. So a job leaves its own share in a file, if others had a part in its process or did its work, and
the Snakemake that started the job reads and removes the file when it writes the job's benchmark.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.layout import SHARES
from loragrid.runtime.files import fingerprint, written_whole


class Share(NamedTuple):
    """What the work of one job took, wherever it was done."""

    seconds: float
    peak_mb: float | None
    """Highest memory, in MiB; None: that of the job's own process, as Snakemake measures it."""


def leave_share(rule: str, wildcards: Mapping[str, str], share: Share) -> None:
    """Leave what a job took, for its benchmark."""
    with written_whole(_place(rule, wildcards)) as temporary:
        temporary.write_text(json.dumps({"at": time.time(), **share._asdict()}), encoding="utf-8")


def take_share(rule: str, wildcards: Mapping[str, str], since: float) -> Share | None:
    """What a job has left; None if it has left nothing, or a job before it did.

    Args:
        since: the start of the job, in seconds since the epoch.
    """
    path = _place(rule, wildcards)
    left: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        left = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
    return Share(left["seconds"], left["peak_mb"]) if left and left["at"] >= since else None


def _place(rule: str, wildcards: Mapping[str, str]) -> Path:
    return Path(SHARES, f"{fingerprint([rule, dict(wildcards)])[:32]}.json")
