"""Parts of data sets that are smaller than asked, or too small to conclude from: known before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loragrid.data.shares import Cut, concerns, expectation
from loragrid.grid.runs import Grid
from loragrid.layout import PREPARE_DATASET, Dataset
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json


def describe_small_parts(grid: Grid) -> list[str]:
    """Lines of the plan: what shares come to, and which test and validation sets are too small."""
    datasets = [*grid.datasets, *grid.only_trained_on]
    lines = [f"  {dataset.name}: {line}" for dataset in datasets for line in _lines_of(grid, dataset)]
    return ["", "Parts of data sets that are smaller than asked, or may be too small:", *lines] if lines else []


def _lines_of(grid: Grid, dataset: Dataset) -> Iterator[str]:
    source = grid.config.source_of(dataset.task, dataset.sample_type)
    manifest = Path(PREPARE_DATASET.path("manifest", dataset.wildcards))
    if manifest.exists():
        found = looked_into(manifest, lambda: read_json(manifest, ["examples"])) or {}
        for split in ("validation", "test"):
            cut = found.get("cut", {}).get(split)
            examples = found.get("examples", {}).get(split)
            if examples is not None:
                yield from concerns(split, examples, Cut(**cut) if cut else None, source.split.exact)
    elif not source.split.exact:
        given, rows = source.given_splits(), source.training_rows()
        for split, share in source.split.cut_shares(given or ()).items() if rows else ():
            if line := expectation(split, share, rows or 0):
                yield line
