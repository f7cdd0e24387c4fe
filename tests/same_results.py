"""Results without what differs from one computation of the same to the next: times, memory, and hashes of files that hold them."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

OF_NO_RESULT = ("logs", "benchmarks", "packages", "partial", ".state")
"""Folders under `results/` that hold no results, or what is only fetched."""
MEASURED = frozenset({
    "runtime_s", "queue_s", "compute_s", "seconds", "wall_time_s", "training_s", "generation_s", "job_s", "s_per_example", "wait_s",
    "answer_s", "tokens_per_s", "peak_memory_mb", "peak_gpu_memory_mb", "git_commit",
})  # fmt: skip
"""Keys and columns of times, of memory, and of what the checkout was."""
OF_SPEED = frozenset({"together", "kernels", "batch_tokens"})
"""Settings that change nothing but speed. An earlier checkout may not know them."""
OF_TIMES = ("loss.csv", "predictions")
"""What a manifest has hashes of although it holds times."""
ONLY_THERE = (".html", ".pdf", ".png", ".svg")
"""Files that show times beside values, of which every value is in a table too: it counts that they are there."""
OF_TIMES_ALONE = ("README.md", "run_times.csv")
"""Names of files with little but times."""


def comparable(results: Path) -> dict[str, str]:
    """A hash of each result, by its path below `results/`."""
    return {path.relative_to(results).as_posix(): content(path) for path in files_of(results)}


def files_of(results: Path) -> Iterator[Path]:
    """The results that are there."""
    for path in sorted(results.rglob("*")):
        if path.is_file() and path.relative_to(results).parts[0] not in OF_NO_RESULT:
            yield path


def content(path: Path) -> str:
    """A hash of what a file says, if it was computed again."""
    if path.suffix in ONLY_THERE or path.name in OF_TIMES_ALONE:
        return "there"
    if path.suffix == ".jsonl":
        return hashed([without_times(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()])
    if path.suffix == ".json":
        return hashed(without_times(json.loads(path.read_text(encoding="utf-8"))))
    if path.suffix == ".csv":
        return hashed([without_times(row) for row in csv.DictReader(StringIO(path.read_text(encoding="utf-8")))])
    if path.suffix == ".parquet" and path.parts[-2] == "tables":
        return hashed(table(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def table(path: Path) -> Any:
    """The columns of a table that are not measured."""
    import pandas as pd

    whole = pd.read_parquet(path)
    return json.loads(whole[[name for name in whole if name not in MEASURED]].to_json(orient="split"))


def without_times(value: Any) -> Any:
    """Plain data without what is measured."""
    if isinstance(value, Mapping):
        return {key: without_times(one) for key, one in value.items() if key not in (*MEASURED, *OF_SPEED, *OF_TIMES)}
    return [without_times(one) for one in value] if isinstance(value, list) else value


def hashed(value: Any) -> str:
    """A hash of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """What only one of two has, or what differs: a line for each file."""
    told = []
    for path in sorted(one.keys() | other.keys()):
        if path not in one or path not in other:
            told.append(f"{path}: only in the {'first' if path in one else 'second'}")
        elif one[path] != other[path]:
            told.append(f"{path}: differs")
    return told
