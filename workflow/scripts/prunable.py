"""List the files that no configuration asks for any more."""

import sys
import time
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.layout import PRUNABLE
from loragrid.planning.pruning.in_use import configuration_of, find_in_use, made_for
from loragrid.planning.pruning.kept import kept_configurations
from loragrid.planning.pruning.listing import summary, write_list
from loragrid.planning.pruning.sorting import sort_out
from loragrid.planning.settings import PruneSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    config, settings = parse_config(snakemake.config), PruneSettings.model_validate(dict(snakemake.params))
    kept = kept_configurations(config, settings.config_files)
    made = made_for(kept, settings.rules)
    in_use, names = find_in_use(kept, made), [one.name for one in kept]
    rows, files = sort_out(made, in_use, time.time()), PRUNABLE.of_experiment(config.experiment)
    write_list(rows, configuration_of(in_use), names, files)
    print(summary(rows, names, files), file=screen)
