"""Bring a pretrained model into the layout of results/models."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.layout import LOCKS
from loragrid.models.importing import ImportSettings, import_model
from loragrid.runtime.job import logged
from loragrid.runtime.locks import only_job_for

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), only_job_for(Path(snakemake.output.config).parent, Path(LOCKS)):
    settings, name = ImportSettings.model_validate(dict(snakemake.params)), snakemake.wildcards.base_model
    import_model(
        settings,
        name,
        package=Path(snakemake.input.source) if settings.source.package_file() else None,
        folder=Path(snakemake.output.config).parent,
        threads=snakemake.threads,
        is_reward_model=name in map(str, snakemake.config.get("reward_models", ())),
        named_files=snakemake.output if snakemake.output.get("other_files") else None,
    )
