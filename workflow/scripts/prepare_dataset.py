"""Map raw data to examples and split them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.data.preparation import PrepareSettings, prepare_dataset
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.scoring.references import check_references

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = PrepareSettings.model_validate(dict(snakemake.params))
    prepare_dataset(
        settings,
        snakemake.wildcards.task,
        snakemake.wildcards.sample_type,
        package=Path(snakemake.input.source) if settings.source.package_file() else None,
        tokenizer_folder=whole_folder(snakemake.input.tokenizer) if snakemake.input.get("tokenizer") else None,
        outputs=dict(snakemake.output),
        check_test=partial(check_references, snakemake.config, snakemake.wildcards.task),
    )
