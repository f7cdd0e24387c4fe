"""Choose the training examples that prompts show, for each test example of a data set."""

from typing import TYPE_CHECKING

from loragrid.data.prompting import DemonstrationSettings
from loragrid.records import Example, read_records
from loragrid.runtime.files import write_json
from loragrid.runtime.gpu_leases import lease_gpus
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    prompting = DemonstrationSettings.model_validate(dict(snakemake.params)).prompting
    tests, train = (read_records(snakemake.input[split], Example) for split in ("test", "train"))
    encoder = whole_folder(snakemake.input.encoder) if snakemake.input.get("encoder") else None
    if encoder:
        lease_gpus(snakemake.resources)
    write_json(snakemake.output[0], prompting.choose(tests, train, encoder))
