"""Remove the files that the configuration does not ask for any more and that are in the list."""

import sys
import time
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.planning.pruning.in_use import Made, configuration_of, find_in_use
from loragrid.planning.pruning.listing import UNKNOWN, read_list, summary
from loragrid.planning.pruning.removal import check_alone, remove
from loragrid.planning.pruning.snakemake_records import forget
from loragrid.planning.pruning.sorting import sort_out
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    check_alone()
    made = [Made(**rule) for rule in snakemake.params.made]
    in_use = find_in_use(parse_config(snakemake.config), made)
    listed = read_list(configuration_of(in_use))
    going = [row for row in sort_out(made, in_use, time.time()) if row.stage != UNKNOWN and (row.path, row.bytes) in listed]
    print(summary(going), file=screen)
    gone, problems = remove(going)
    print(*(row.path for row in gone), sep="\n")
    print(f"{len(gone)} files removed, and {forget(in_use.files)} records of Snakemake about such files.", file=screen)
    if problems:
        raise UserError("\n".join(problems))
