"""Count and measure the data sets and mixes of the grid."""

from typing import TYPE_CHECKING

from loragrid.analysis.tables_and_figures import describe_data
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
        snakemake.input.leaks,
        dict(snakemake.output),
    )
