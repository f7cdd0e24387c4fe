"""Write a first experiment on the examples of a file."""

import sys
from typing import TYPE_CHECKING

from loragrid.errors import printable
from loragrid.planning.first_steps.experiment import write_experiment
from loragrid.planning.first_steps.settings import NewSettings
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    settings = NewSettings.model_validate(dict(snakemake.params))
    text = write_experiment(settings.asked, snakemake.config, settings.config_files)
    print(text)
    # A terminal may lack letters that columns and values have.
    encoding = screen.encoding or "utf-8"
    print(printable(text).encode(encoding, "replace").decode(encoding), file=screen, flush=True)
