"""Write the report from tables and figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.analysis.report import grid_state, leaking_mixes, write_report
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_report(
        snakemake.output[0],
        settings=snakemake.params.report,
        metric=snakemake.params.metric,
        # Every file that the grid asks for is an input, so that all of them are there.
        state=grid_state({name: [(file, "") for file in snakemake.input[name]] for name in snakemake.params.tiers}),
        tables=Path(snakemake.input.scores_table).parent,
        figures=Path(snakemake.input.learning_curves).parent,
        checks=snakemake.input.checks,
        manifests=snakemake.input.manifests,
        leaking=leaking_mixes(snakemake.input.leaks, [file for file in snakemake.input.mixes if file.endswith(".jsonl")]),
    )
