"""Report on what is there of a grid that is not finished, and on why the rest is missing."""

from typing import TYPE_CHECKING

from loragrid.analysis.partial_report import write_partial_report
from loragrid.analysis.settings import PartialReportSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_partial_report(PartialReportSettings.model_validate(dict(snakemake.params)))
