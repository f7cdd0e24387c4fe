"""The report on an unfinished grid: the results so far, and why the rest is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.provenance import common_questions, leaking_mixes, leaking_prompts
from loragrid.analysis.report import write_report
from loragrid.analysis.settings import PartialReportSettings
from loragrid.analysis.tables_and_figures import analyse, describe_data
from loragrid.errors import DamagedError
from loragrid.runtime.job import log

MOST_DAMAGED = 20
"""How many damaged files are left out. After each of them all others are read again."""


def write_partial_report(settings: PartialReportSettings) -> None:
    """Write tables, figures and report on the existing files of the grid. Damaged files are left out, and named in the report.

    Raises:
        DamagedError: if there are more damaged files than `MOST_DAMAGED`.
    """
    damaged: dict[str, str] = {}
    while True:
        try:
            return _write(settings, damaged)
        except DamagedError as error:
            files = {file for targets in settings.tiers.values() for file, _ in targets}
            if error.path in damaged or error.path not in files or len(damaged) == MOST_DAMAGED:
                raise
            damaged[error.path] = str(error)
            log.warning("left out: %s", error)


def _write(settings: PartialReportSettings, damaged: Mapping[str, str]) -> None:
    files = settings.files

    def present(tier: str, ending: str) -> list[str]:
        paths = [file for file, _ in settings.tiers[tier] if file.endswith(ending) and file not in damaged]
        return [file for file in paths if Path(file).exists()]

    analyse(
        present("predictions", ".jsonl"),
        present("scores", ".jsonl"),
        present("adapters", "loss.csv"),
        present("adapters", "manifest.json"),
        present("datasets", "test.jsonl"),
        settings.settings,
        files,
    )
    describe_data(
        present("datasets", ".jsonl"),
        present("datasets", "manifest.json"),
        present("mixes", ".jsonl"),
        present("mixes", "manifest.json"),
        present("tokens", ".parquet"),
        present("leaks", ".json"),
        files,
    )
    write_report(
        files["report"],
        settings.report,
        settings.metric,
        grid_state(settings.tiers, damaged),
        files,
        checks=present("checks", ".json"),
        manifests=present("adapters", "manifest.json") + present("predictions", ".manifest.json"),
        leaking=leaking_mixes(present("leaks", ".json"), present("mixes", ".jsonl")),
        common=common_questions(present("mixes", "train.jsonl")),
        showing=leaking_prompts(present("leaks", ".json"), present("demonstrations", ".json")),
    )
