"""Draw a training set from data sets."""

from typing import TYPE_CHECKING

from loragrid.data.mixes import MixSettings, write_mix
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with logged(snakemake.log[0]):
    write_mix(
        MixSettings.model_validate(dict(snakemake.params)),
        dict(snakemake.wildcards),
        {part: list(snakemake.input[part]) for part in ("train", "validation")},
        list(snakemake.input.leaks),
        dict(snakemake.output),
    )
