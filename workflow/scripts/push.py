"""Upload one trained model to a hub, or list what would be uploaded."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from loragrid.models.hub import check_repository, push, stage
from loragrid.runtime.files import write_json
from loragrid.runtime.job import log, logged
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), TemporaryDirectory() as staged:
    hub = snakemake.params.hub
    check_repository(hub["repository"])
    files = stage(whole_folder(snakemake.input.model), Path(staged), snakemake.params.source.get("hub"))
    commit = None if hub["dry_run"] else push(Path(staged), hub["repository"], hub["private"])
    log.info("%s %d files to %s", "would upload" if commit is None else "uploaded", len(files), hub["repository"])
    write_json(snakemake.output[0], {**hub, "files": files, "commit": commit})
