"""Train one model on one mix."""

from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.training.job import TrainingJob, run_training

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    lease_gpus(snakemake.resources)
    run_training(
        TrainingJob(
            folder=str(Path(snakemake.output.manifest).parent),
            state="results/.state/training",
            model=str(whole_folder(snakemake.input.model) / "model.safetensors"),
            tokenizer=snakemake.input.tokenizer,
            train=snakemake.input.train,
            validation=snakemake.input.validation,
            tokens=list(snakemake.input.tokens),
            other_files=snakemake.output.get("other_files"),
            adapter=list(snakemake.input.get("start", [])),
            run=snakemake.params.run,
            config=snakemake.params.config,
            model_settings=snakemake.params.model,
            seeds=snakemake.params.seeds,
            stage_version=snakemake.params.version,
            threads=snakemake.threads,
            checkpoint_minutes=snakemake.resources.checkpoint_minutes,
            trackers=snakemake.config.get("trackers", []),
        ),
        snakemake.resources.get("accelerate"),
    )
