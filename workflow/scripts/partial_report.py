"""Report on what is there of a grid that is not finished, and on why the rest is missing."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.analysis.analysis import analyse, describe_data
from loragrid.analysis.report import grid_state, leaking_mixes, write_report
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    tiers, folder = snakemake.params.tiers, Path(snakemake.params.folder)

    def present(tier: str, ending: str) -> list[str]:
        return [file for file, _ in tiers[tier] if file.endswith(ending) and Path(file).exists()]

    analyse(
        present("predictions", ".jsonl"),
        present("scores", ".jsonl"),
        present("adapters", "loss.csv"),
        present("adapters", "manifest.json"),
        present("datasets", "test.jsonl"),
        snakemake.params.settings,
        tables=folder / "tables",
        figures=folder / "figures",
    )
    describe_data(
        present("datasets", ".jsonl"),
        present("datasets", "manifest.json"),
        present("mixes", ".jsonl"),
        present("mixes", "manifest.json"),
        present("tokens", ".parquet"),
        tables=folder / "tables",
        figures=folder / "figures",
    )
    write_report(
        folder / "report.html",
        settings=snakemake.params.report,
        metric=snakemake.params.metric,
        state=grid_state(tiers),
        tables=folder / "tables",
        figures=folder / "figures",
        checks=present("checks", ".json"),
        manifests=present("adapters", "manifest.json") + present("predictions", ".manifest.json"),
        leaking=leaking_mixes(present("leaks", ".json"), present("mixes", ".jsonl")),
    )
