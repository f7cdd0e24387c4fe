"""List the files that the configuration does not ask for any more."""

import sys
import time
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.planning.pruning.in_use import Made, configuration_of, find_in_use
from loragrid.planning.pruning.listing import ARCHIVE_LIST, LIST, summary, write_list
from loragrid.planning.pruning.sorting import sort_out
from loragrid.runtime.commands import command
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    made = [Made(**rule) for rule in snakemake.params.made]
    in_use = find_in_use(parse_config(snakemake.config), made)
    rows = sort_out(made, in_use, time.time())
    write_list(rows, configuration_of(in_use))
    print(
        summary(rows),
        f"Read {LIST} (paths alone: {ARCHIVE_LIST}); this removes them: {command('prune')}",
        sep="\n",
        file=screen,
    )
