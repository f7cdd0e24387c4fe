"""Snakemake's records about results. Snakemake keeps them when the results are gone."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from loragrid.layout import RESULTS
from loragrid.planning.pruning.removal import remove_empty
from loragrid.planning.pruning.tree import walk


def records() -> dict[str, list[Path]]:
    """Snakemake's records, by result.

    A record is a file whose path, `@` before each folder, is the result's path in the URL-safe form of Base64.
    """
    by_result: dict[str, list[Path]] = {}
    for folder in (".snakemake/metadata", ".snakemake/incomplete"):
        for path in (Path(file.path) for file in walk(folder)):
            encoded = "".join(part.removeprefix("@") for part in path.relative_to(folder).parts)
            with suppress(ValueError):
                by_result.setdefault(urlsafe_b64decode(encoded).decode(), []).append(path)
    return by_result


def forget(in_use: Collection[str]) -> int:
    """Remove Snakemake's records of results that are gone and not asked for. Returns the number of removed records."""
    gone = {
        result: paths
        for result, paths in records().items()
        if result.startswith(f"{RESULTS}/") and result not in in_use and not os.path.lexists(result)
    }
    for path in (path for paths in gone.values() for path in paths):
        path.unlink(missing_ok=True)
        remove_empty(path.parent)
    return len(gone)
