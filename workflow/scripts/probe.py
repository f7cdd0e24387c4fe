"""Measure how well one model predicts a text of general language."""

from typing import TYPE_CHECKING

from loragrid.ahead.own import work_on
from loragrid.ahead.told import Told
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]) as screen:
    work_on(Told.of(snakemake), snakemake.config, screen)
