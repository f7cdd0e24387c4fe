"""Bring predictions that were made elsewhere into the form of our own."""

from typing import TYPE_CHECKING

from loragrid.data.external import ImportedPredictionsSettings, import_predictions
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    import_predictions(
        ImportedPredictionsSettings.model_validate(dict(snakemake.params)),
        snakemake.input.file,
        snakemake.input.test,
        snakemake.output.predictions,
        snakemake.output.manifest,
    )
