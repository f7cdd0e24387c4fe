"""Remove the files that no configuration asks for any more and that are in the list."""

import sys
import time
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.layout import PRUNABLE
from loragrid.planning.pruning.in_use import configuration_of, find_in_use, made_for
from loragrid.planning.pruning.kept import kept_configurations
from loragrid.planning.pruning.listing import UNKNOWN, read_list, summary
from loragrid.planning.pruning.removal import check_alone, remove
from loragrid.planning.pruning.snakemake_records import forget
from loragrid.planning.pruning.sorting import sort_out
from loragrid.planning.settings import PruneSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    check_alone()
    config, settings = parse_config(snakemake.config), PruneSettings.model_validate(dict(snakemake.params))
    kept = kept_configurations(config, settings.config_files)
    made = made_for(kept, settings.rules)
    in_use = find_in_use(kept, made)
    listed = read_list(configuration_of(in_use), PRUNABLE.of_experiment(config.experiment))
    going = [row for row in sort_out(made, in_use, time.time()) if row.stage != UNKNOWN and (row.path, row.bytes) in listed]
    print(summary(going, [one.name for one in kept]), file=screen)
    gone, problems = remove(going)
    print(*(row.path for row in gone), sep="\n")
    print(f"{len(gone)} files removed, and {forget(in_use.files)} records of Snakemake about such files.", file=screen)
    if problems:
        raise UserError("\n".join(problems))
