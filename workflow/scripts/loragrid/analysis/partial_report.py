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
"""How many times damaged files are left out. After each time all others are read again."""


def write_partial_report(settings: PartialReportSettings) -> None:
    """Write tables, figures and report on the existing files of the grid. Damaged files are left out, and named in the report.

    Raises:
        DamagedError: if files are still damaged then.
    """
    logs = {file: log_file for targets in settings.tiers.values() for file, log_file in targets}
    damaged: dict[str, str] = {}
    for _ in range(MOST_DAMAGED):
        try:
            return _write(settings, damaged)
        except DamagedError as error:
            # Who reads a file may look into the manifest beside it, which the same job has made.
            beside = [file for file in logs if logs[file] == logs.get(error.path)] if error.path in damaged else [error.path]
            if not logs.keys() & set(beside) - damaged.keys():
                raise
            damaged |= dict.fromkeys(beside, str(error))
            log.warning("left out: %s", error)
    return _write(settings, damaged)


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
