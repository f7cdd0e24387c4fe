"""Upload one trained model to a hub, or list what would be uploaded."""

from typing import TYPE_CHECKING

from loragrid.models.hub import PushSettings, upload
from loragrid.runtime.files import write_json
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    settings = PushSettings.model_validate(dict(snakemake.params))
    write_json(snakemake.output[0], upload(settings, whole_folder(snakemake.input.model)))
