"""List the tokens of the vocabulary that learnt prompts are nearest to."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.models.learnt_prompts import write_nearest
from loragrid.runtime.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    models = Path(snakemake.input.models[0]).parents[1]
    count = write_nearest(snakemake.output.prompts, snakemake.input.adapters, models, snakemake.params.nearest)
    log.info("%d learnt prompts", count)
