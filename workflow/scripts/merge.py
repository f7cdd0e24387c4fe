"""Make one whole model out of a base model and its adapter."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.layout import LOCKS
from loragrid.models.merging import write_merged
from loragrid.runtime.job import logged
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), only_job_for(Path(snakemake.output.model).parent, Path(LOCKS)):
    write_merged(
        whole_folder(snakemake.input.model),
        whole_folder(snakemake.input.adapter) / Path(snakemake.input.adapter).name,
        manifest=Path(snakemake.input.manifest),
        card=Path(snakemake.input.card),
        folder=Path(snakemake.output.model).parent,
        threads=snakemake.threads,
        named_files=snakemake.output if snakemake.output.get("other_files") else None,
    )
