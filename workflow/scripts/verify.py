"""Read everything that the grid has made, and list what is damaged."""

import sys
from typing import TYPE_CHECKING

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.grid.runs import Grid
from loragrid.layout import VERIFY
from loragrid.planning.verification.listing import summary, verify, write_list
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen, progress = sys.stdout, sys.stderr
with logged(snakemake.log[0]):
    grid = Grid(parse_config(snakemake.config))
    found, table = verify(grid, progress), grid.own(VERIFY).outputs["table"]
    write_list(found.damages, table)
    if found.damages:
        raise UserError(summary(found, table))
    print(summary(found, table), file=screen)
