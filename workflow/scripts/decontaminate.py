"""Find the examples of a data set that a test set of the grid holds too."""

from typing import TYPE_CHECKING

from loragrid.data.decontamination import find_leaks
from loragrid.layout import Dataset
from loragrid.records import Example, read_records
from loragrid.runtime.files import write_json
from loragrid.runtime.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    tests = {Dataset.of(path).name: read_records(path, Example) for path in snakemake.input.tests}
    leaks = {split: find_leaks(read_records(snakemake.input[split], Example), tests) for split in ("train", "validation")}
    for split, found in leaks.items():
        for id_, names in found.items():
            log.info("%s: %s is in the test set of %s", split, id_, ", ".join(names))
    write_json(snakemake.output[0], leaks)
