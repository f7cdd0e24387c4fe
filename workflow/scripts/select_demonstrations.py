"""Choose the training examples that prompts show, for each test example of a data set."""

from typing import TYPE_CHECKING

from loragrid.data.prompting import few_shot, retrieved
from loragrid.records import Example, read_records
from loragrid.runtime.files import write_json
from loragrid.runtime.job import logged
from loragrid.runtime.model_folders import whole_folder

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    prompting = snakemake.params.prompting
    tests, train = (read_records(snakemake.input[split], Example) for split in ("test", "train"))
    if prompting["type"] == "few_shot":
        chosen = few_shot(tests, train, prompting["k"], prompting["seed"])
    else:
        # Only encoders need torch, which takes seconds to import.
        from loragrid.runtime.gpu_leases import lease_gpus

        lease_gpus(snakemake.resources)
        chosen = retrieved(tests, train, prompting["k"], whole_folder(snakemake.input.encoder))
    write_json(snakemake.output[0], chosen)
