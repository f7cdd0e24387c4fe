"""List the results of earlier versions that a fault may have touched which has been mended since."""

import sys
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.layout import DOUBTFUL
from loragrid.planning.doubts.checks import find_doubts
from loragrid.planning.doubts.listing import summary, write_list
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    table = DOUBTFUL.of_experiment(parse_config(snakemake.config).experiment).outputs["table"]
    rows = find_doubts()
    write_list(rows, table)
    print(summary(rows, table), file=screen)
