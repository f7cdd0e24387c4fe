"""Answer the test examples of one data set with one model."""

import time
from typing import TYPE_CHECKING

from loragrid.inference.job import PredictFiles, PredictJob, predict
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import PredictSettings
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import logged
from loragrid.sections import entry_of, with_speed

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    started = time.perf_counter()
    settings = PredictSettings.model_validate(dict(snakemake.params))
    name, files = snakemake.wildcards.base_model, snakemake.input
    engine = with_speed(settings.model.engine, entry_of(snakemake.config, "models", name).get("engine"))
    if not engine.is_server:
        lease_gpus(snakemake.resources)
    job = PredictJob(
        base_model=name,
        settings=settings,
        engine=engine,
        files=PredictFiles(
            predictions=snakemake.output.predictions,
            manifest=snakemake.output.manifest,
            test=files.test,
            model=ModelFiles(*(files.get(file) for file in ModelFiles._fields)),
            train=files.get("train"),
            demonstrations=files.get("demonstrations"),
            known=files.get("known"),
        ),
        threads=snakemake.threads,
    )
    predict(job, started)
