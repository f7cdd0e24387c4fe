"""Prove on a few examples that a model generates as promised."""

from typing import TYPE_CHECKING

from loragrid.inference.checks import CheckFiles, CheckJob, check_model
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import CheckSettings
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import logged
from loragrid.sections import entry_of, with_speed

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = CheckSettings.model_validate(dict(snakemake.params))
    name, files = snakemake.wildcards.base_model, snakemake.input
    job = CheckJob(
        base_model=name,
        settings=settings,
        engine=with_speed(settings.model.engine, entry_of(snakemake.config, "models", name).get("engine")),
        files=CheckFiles(
            result=snakemake.output[0],
            test=files.test,
            model=ModelFiles(*(files.get(file) for file in ModelFiles._fields)),
        ),
        threads=snakemake.threads,
    )
    if job.computes_here:
        lease_gpus(snakemake.resources)
    check_model(job)
