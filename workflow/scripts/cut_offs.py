"""List what the length to which models are trained takes from each reference."""

import sys
from typing import TYPE_CHECKING

from loragrid.analysis.table_files import write_table
from loragrid.data.cut_offs import list_cut_offs, sum_up, told
from loragrid.runtime.job import log, logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    rows = list_cut_offs(snakemake.input.tokens, snakemake.params.limits)
    summary = sum_up(rows)
    write_table(rows, snakemake.output.references)
    write_table(summary, snakemake.output.summary)
    for line in told(summary):
        log.info("%s", line)
        print(line, file=screen)
