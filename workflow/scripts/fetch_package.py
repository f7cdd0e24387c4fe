"""Download a package, without installing it."""

from typing import TYPE_CHECKING

from loragrid.runtime.job import logged
from loragrid.runtime.packages import download_package

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    download_package(snakemake.wildcards.package, snakemake.output[0])
