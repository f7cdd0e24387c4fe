"""Choose the training examples that prompts show, for each test example of a data set."""

from typing import TYPE_CHECKING

from loragrid.files import write_json
from loragrid.job import logged
from loragrid.model_folders import whole_folder
from loragrid.prompting import few_shot, retrieved
from loragrid.records import Example, read_records

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    prompting = snakemake.params.prompting
    tests, train = (read_records(snakemake.input[split], Example) for split in ("test", "train"))
    if prompting["type"] == "few_shot":
        chosen = few_shot(tests, train, prompting["k"], prompting["seed"])
    else:
        # Only encoders need torch, which takes seconds to import.
        from loragrid.devices import lease_gpus

        lease_gpus(snakemake.resources)
        chosen = retrieved(tests, train, prompting["k"], whole_folder(snakemake.input.encoder))
    write_json(snakemake.output[0], chosen)
