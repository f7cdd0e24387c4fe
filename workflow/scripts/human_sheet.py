"""Write the blank sheet of one annotator."""

from typing import TYPE_CHECKING

from loragrid.runtime.job import log, logged
from loragrid.scoring.human_sheets import SheetSettings, rows_of_annotator, write_sheet_csv, write_sheet_workbook

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    name, annotator = snakemake.wildcards.evaluation, snakemake.wildcards.annotator
    evaluation = SheetSettings.model_validate(dict(snakemake.params.items())).evaluation
    rows = rows_of_annotator(name, evaluation, annotator, snakemake.input.predictions, snakemake.input.tests)
    write_sheet_csv(snakemake.output.csv, evaluation, rows)
    write_sheet_workbook(snakemake.output.xlsx, evaluation, rows)
    log.info("%d answers to rate", len(rows))
