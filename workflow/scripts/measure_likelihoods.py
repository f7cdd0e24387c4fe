"""Measure how likely one model finds given texts as answers to the test examples of one data set."""

from typing import TYPE_CHECKING

from loragrid.ahead.own import work_on
from loragrid.ahead.told import Told
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as screen:
    work_on(Told.of(snakemake), snakemake.config, screen)
