"""Bring a pretrained model into the layout of results/models."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.layout import LOCKS
from loragrid.models.importing import ImportSettings, import_model
from loragrid.models.sources import MergedSource
from loragrid.runtime.job import logged
from loragrid.runtime.locks import only_job_for
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), only_job_for(Path(snakemake.output.config).parent, Path(LOCKS)):
    settings, name = ImportSettings.model_validate(dict(snakemake.params)), snakemake.wildcards.base_model
    folder, named_files = Path(snakemake.output.config).parent, snakemake.output if snakemake.output.get("other_files") else None
    if isinstance(settings.source, MergedSource):
        from loragrid.models.merging import import_merged

        import_merged(
            {"name": name, "source": settings.source.model_dump(), "stage_version": settings.version},
            whole_folder(snakemake.input.model),
            whole_folder(snakemake.input.adapter) / Path(snakemake.input.adapter).name,
            manifest=Path(snakemake.input.manifest),
            folder=folder,
            threads=snakemake.threads,
            named_files=named_files,
        )
    else:
        import_model(
            settings,
            name,
            package=Path(snakemake.input.source) if settings.source.package_file() else None,
            folder=folder,
            threads=snakemake.threads,
            is_reward_model=name in map(str, snakemake.config.get("reward_models", ())),
            named_files=named_files,
        )
