"""All predictions, scores and loss curves of the grid, as tables and figures."""

from typing import TYPE_CHECKING

from loragrid.analysis.settings import AnalyseSettings
from loragrid.analysis.tables_and_figures import analyse
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
        AnalyseSettings.model_validate(dict(snakemake.params)).settings,
        dict(snakemake.output),
        snakemake.input.chosen_by,
        snakemake.input.leaks,
        snakemake.input.probes,
    )
