"""Draw a training set from data sets."""

from typing import TYPE_CHECKING

from loragrid.files import file_sha256, write_json
from loragrid.job import log, logged
from loragrid.mixes import target_only
from loragrid.records import Example, read_records, write_records

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    wildcards, recipe = snakemake.wildcards, snakemake.params.recipe
    train, validation = target_only(
        read_records(snakemake.input.train, Example),
        read_records(snakemake.input.validation, Example),
        nb_samples=int(wildcards.nb_samples),
        nb_validation=recipe["nb_validation"],
        seed=int(wildcards.mix_seed),
    )
    write_records(snakemake.output.train, train)
    write_records(snakemake.output.validation, validation)
    write_json(
        snakemake.output.manifest,
        {
            "task": wildcards.task,
            "sample_type": wildcards.sample_type,
            "mix": wildcards.mix,
            "recipe": recipe,
            "nb_samples": int(wildcards.nb_samples),
            "mix_seed": int(wildcards.mix_seed),
            "stage_version": snakemake.params.version,
            "examples": {"train": len(train), "validation": len(validation)},
            "sha256": {name: file_sha256(snakemake.output[name]) for name in ("train", "validation")},
        },
    )
    log.info("%d training and %d validation examples", len(train), len(validation))
