"""The report on an unfinished grid: the results so far, and why the rest is missing."""

from __future__ import annotations

from functools import partial

from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.page.write import GridFiles, write_report
from loragrid.analysis.present_files import Damaged, present, without_damaged
from loragrid.analysis.settings import PartialReportSettings
from loragrid.analysis.tables_and_figures import analyse, describe_data


def write_partial_report(settings: PartialReportSettings) -> None:
    """Write tables, figures and report on the existing files of the grid. Damaged files are left out, and named in the report.

    Raises:
        DamagedError: if files are still damaged after many times.
    """
    without_damaged(settings.tiers, partial(_write, settings))


def _write(settings: PartialReportSettings, damaged: Damaged) -> None:
    files = settings.files

    def there(tier: str, ending: str) -> list[str]:
        return present(settings.tiers[tier], ending, damaged)

    analyse(
        there("predictions", ".jsonl"),
        there("scores", ".jsonl"),
        there("adapters", "loss.csv"),
        there("adapters", "manifest.json"),
        there("datasets", "test.jsonl"),
        settings.settings,
        files,
        there("datasets", "validation.jsonl"),
        there("leaks", ".json"),
        there("probes", ".json"),
    )
    describe_data(
        there("datasets", ".jsonl"),
        there("datasets", "manifest.json"),
        there("mixes", ".jsonl"),
        there("mixes", "manifest.json"),
        there("tokens", ".parquet"),
        there("leaks", ".json"),
        files,
    )
    write_report(
        files["report"],
        settings.report,
        settings.settings,
        grid_state(settings.tiers, damaged),
        files,
        GridFiles(
            scores=there("scores", ".jsonl"),
            tests=there("datasets", "test.jsonl"),
            checks=there("checks", ".json"),
            trainings=there("adapters", "manifest.json"),
            manifests=there("adapters", "manifest.json") + there("predictions", ".manifest.json"),
            leaks=there("leaks", ".json"),
            mixes=there("mixes", ".jsonl"),
            demonstrations=there("demonstrations", ".json"),
        ),
    )
