"""Upload one trained model to a hub, or list what would be uploaded."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from loragrid.files import write_json
from loragrid.hub import check_repository, push, stage
from loragrid.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]), TemporaryDirectory() as staged:
    hub = snakemake.params.hub
    check_repository(hub["repository"])
    files = stage(Path(snakemake.input.model).parent, Path(staged), snakemake.params.source.get("hub"))
    commit = None if hub["dry_run"] else push(Path(staged), hub["repository"], hub["private"])
    log.info("%s %d files to %s", "would upload" if commit is None else "uploaded", len(files), hub["repository"])
    write_json(snakemake.output[0], {**hub, "files": files, "commit": commit})
