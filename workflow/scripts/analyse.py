"""All predictions, scores and loss curves of the grid, as tables and figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.analysis.analysis import analyse
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    analyse(
        snakemake.input.predictions,
        snakemake.input.scores,
        snakemake.input.losses,
        snakemake.input.manifests,
        snakemake.input.tests,
        snakemake.params.settings,
        tables=Path(snakemake.output.scores).parent,
        figures=Path(snakemake.output.learning_curves).parent,
    )
