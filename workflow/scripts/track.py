"""Send final scores and verdicts to trackers."""

from typing import TYPE_CHECKING

from loragrid.analysis.tracking.job import track
from loragrid.analysis.tracking.settings import TrackSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    track(
        TrackSettings.model_validate(dict(snakemake.params)),
        snakemake.input.scores,
        snakemake.input.contrasts,
        snakemake.output.receipt,
    )
