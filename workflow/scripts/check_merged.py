"""Prove on a few examples that a merged model answers as its adapter does."""

from typing import TYPE_CHECKING

from loragrid.inference.merged_checks import MergedCheckFiles, check_merged
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import CheckSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    given = snakemake.input
    check_merged(
        CheckSettings.model_validate(dict(snakemake.params)),
        snakemake.wildcards.base_model,
        MergedCheckFiles(
            result=snakemake.output.check,
            test=given.test,
            model=ModelFiles(*(given.get(file) for file in ModelFiles._fields)),
            merged=given.merged,
        ),
        snakemake.threads,
    )
