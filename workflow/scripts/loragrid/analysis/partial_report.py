"""The report on an unfinished grid: the results so far, and why the rest is missing."""

from __future__ import annotations

from pathlib import Path

from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.provenance import common_questions, leaking_mixes, leaking_prompts
from loragrid.analysis.report import write_report
from loragrid.analysis.settings import PartialReportSettings
from loragrid.analysis.tables_and_figures import analyse, describe_data


def write_partial_report(settings: PartialReportSettings) -> None:
    """Write tables, figures and report on the existing files of the grid."""
    files = settings.files

    def present(tier: str, ending: str) -> list[str]:
        return [file for file, _ in settings.tiers[tier] if file.endswith(ending) and Path(file).exists()]

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
        grid_state(settings.tiers),
        files,
        checks=present("checks", ".json"),
        manifests=present("adapters", "manifest.json") + present("predictions", ".manifest.json"),
        leaking=leaking_mixes(present("leaks", ".json"), present("mixes", ".jsonl")),
        common=common_questions(present("mixes", "train.jsonl")),
        showing=leaking_prompts(present("leaks", ".json"), present("demonstrations", ".json")),
    )
