"""Count and measure the data sets and mixes of the grid."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.analysis.analysis import describe_data
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    describe_data(
        snakemake.input.datasets,
        snakemake.input.dataset_manifests,
        snakemake.input.mixes,
        snakemake.input.mix_manifests,
        snakemake.input.tokens,
        tables=Path(snakemake.output.lengths).parent,
        figures=Path(snakemake.output.figure).parent,
    )
