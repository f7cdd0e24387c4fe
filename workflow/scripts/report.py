"""Write the report from tables and figures."""

from typing import TYPE_CHECKING

from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.provenance import common_questions, leaking_mixes, leaking_prompts
from loragrid.analysis.report import write_report
from loragrid.analysis.settings import ReportSettings
from loragrid.layout import ANALYSE, DESCRIBE_DATA
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = ReportSettings.model_validate(dict(snakemake.params))
    write_report(
        snakemake.output[0],
        settings.report,
        settings.metric,
        # Every file that the grid asks for is an input, so that all of them are there.
        grid_state({tier: [(file, "") for file in snakemake.input[tier]] for tier in settings.tiers}),
        ANALYSE.named(snakemake.input.tables) | DESCRIBE_DATA.named(snakemake.input.data),
        checks=snakemake.input.checks,
        manifests=snakemake.input.manifests,
        leaking=leaking_mixes(snakemake.input.leaks, [file for file in snakemake.input.mixes if file.endswith(".jsonl")]),
        common=common_questions([file for file in snakemake.input.mixes if file.endswith("train.jsonl")]),
        showing=leaking_prompts(snakemake.input.leaks, snakemake.input.demonstrations),
    )
