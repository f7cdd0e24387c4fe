"""Train one model on one mix."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.layout import TRAINING_STATES
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.sections import entry_of, with_speed
from loragrid.training.job import TrainingJob, run_training
from loragrid.training.settings import TrainSettings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    lease_gpus(snakemake.resources)
    settings = TrainSettings.model_validate(dict(snakemake.params))
    config = with_speed(settings.config, entry_of(snakemake.config, "configs", settings.run.config))
    job = TrainingJob(
        settings=settings.model_copy(update={"config": config}),
        folder=str(Path(snakemake.output.manifest).parent),
        state=TRAINING_STATES,
        model=str(whole_folder(snakemake.input.model) / "model.safetensors"),
        tokenizer=snakemake.input.tokenizer,
        train=snakemake.input.train,
        validation=snakemake.input.validation,
        tokens=list(snakemake.input.tokens),
        adapter=list(snakemake.input.get("start", [])),
        other_files=snakemake.output.get("other_files"),
        threads=snakemake.threads,
        keeps_finished=True,
        checkpoint_minutes=snakemake.resources.checkpoint_minutes,
        trackers=snakemake.config.get("trackers", []),
    )
    run_training(job, snakemake.resources.get("accelerate"))
