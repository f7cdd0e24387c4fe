"""Write the report from tables and figures."""

from typing import TYPE_CHECKING

from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.page.write import GridFiles, write_report
from loragrid.analysis.settings import ReportSettings
from loragrid.layout import ANALYSE, DESCRIBE_DATA
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = ReportSettings.model_validate(dict(snakemake.params))
    write_report(
        snakemake.output.report,
        settings.report,
        settings.settings,
        # Every file that the grid asks for is an input, so that all of them are there.
        grid_state({tier: [(file, "") for file in snakemake.input[tier]] for tier in settings.tiers}),
        ANALYSE.named(snakemake.input.tables) | DESCRIBE_DATA.named(snakemake.input.data),
        GridFiles(
            scores=snakemake.input.scores,
            tests=[file for file in snakemake.input.datasets if file.endswith("test.jsonl")],
            checks=snakemake.input.checks,
            trainings=[file for file in snakemake.input.adapters if file.endswith("manifest.json")],
            manifests=snakemake.input.manifests,
            leaks=snakemake.input.leaks,
            mixes=[file for file in snakemake.input.mixes if file.endswith(".jsonl")],
            demonstrations=snakemake.input.demonstrations,
        ),
    )
