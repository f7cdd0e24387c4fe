"""Write one evaluation as a log that Inspect's viewer opens."""

from typing import TYPE_CHECKING

from loragrid.analysis.inspect_log.job import write_log
from loragrid.analysis.inspect_log.settings import LogSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_log(
        LogSettings.model_validate(dict(snakemake.params)),
        snakemake.input.predictions,
        snakemake.input.test,
        snakemake.input.get("scores", []),
        snakemake.input.get("manifest"),
        snakemake.output.log,
    )
