"""Draw a training set from data sets."""

import json
from collections import Counter
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from loragrid.data.mixes import Mix, make_mix
from loragrid.records import Example, read_records, write_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    wildcards, tasks = snakemake.wildcards, snakemake.params.tasks
    recipe: Mix = TypeAdapter(Mix).validate_python(snakemake.params.recipe)
    clean, leaked = {}, {}
    for split in ("train", "validation"):
        clean[split], leaked[split] = {}, {}
        for task, data, leaks in zip(tasks, snakemake.input[split], snakemake.input.leaks, strict=True):
            with open(leaks, encoding="utf-8") as file:
                in_tests = json.load(file)[split]
            clean[split][task] = [example for example in read_records(data, Example) if example.id not in in_tests]
            leaked[split][task] = sorted(in_tests)
            if in_tests:
                log.info("%s, %s: left out %d examples that are in a test set", task, split, len(in_tests))

    train, validation = make_mix(
        recipe, wildcards.task, int(wildcards.nb_samples), clean["train"], clean["validation"], int(wildcards.mix_seed)
    )
    write_records(snakemake.output.train, train)
    write_records(snakemake.output.validation, validation)
    write_json(
        snakemake.output.manifest,
        {
            "task": wildcards.task,
            "sample_type": wildcards.sample_type,
            "mix": wildcards.mix,
            "recipe": snakemake.params.recipe,
            "nb_samples": int(wildcards.nb_samples),
            "mix_seed": int(wildcards.mix_seed),
            "stage_version": snakemake.params.version,
            "examples": {"train": Counter(e.task for e in train), "validation": Counter(e.task for e in validation)},
            "left_out_because_tested": leaked,
            "sha256": {name: file_sha256(snakemake.output[name]) for name in ("train", "validation")},
        },
    )
    log.info("%d training and %d validation examples", len(train), len(validation))
