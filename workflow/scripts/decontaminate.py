"""Find the examples of a data set that a test set of the grid holds too, or a validation set by which ways are chosen."""

from typing import TYPE_CHECKING

from loragrid.data.decontamination import LEAKY_PARTS, find_leaks, validation_set, write_leaks
from loragrid.layout import Dataset
from loragrid.records import Example, read_records
from loragrid.runtime.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    tests = {Dataset.of(path).name: read_records(path, Example) for path in snakemake.input.tests}
    # Runs may validate on the examples by which they are chosen, and must not be trained on them.
    chosen_by = {validation_set(Dataset.of(path)): read_records(path, Example) for path in snakemake.input.get("chosen_by", [])}
    held_by = {part: tests | (chosen_by if part == "train" else {}) for part in LEAKY_PARTS}
    leaks = {part: find_leaks(read_records(snakemake.input[part], Example), held_by[part]) for part in LEAKY_PARTS}
    for part, found in leaks.items():
        for reason, by_id in (("question", found.by_question), ("output", found.by_output)):
            for id_, names in by_id.items():
                log.info("%s: the %s of %s is in the test set of %s", part, reason, id_, ", ".join(names))
    write_leaks(snakemake.output[0], leaks)
