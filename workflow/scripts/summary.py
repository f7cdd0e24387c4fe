"""Show the table of the study and the verdicts in the terminal, of as much of the grid as there is."""

import os
import shutil
import sys
from typing import TYPE_CHECKING

from loragrid.analysis.settings import SummarySettings
from loragrid.analysis.study_summary import summary
from loragrid.runtime.job import logged

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

screen = sys.stdout
with logged(snakemake.log[0]):
    width = shutil.get_terminal_size((100, 24)).columns
    bold = screen.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    text = summary(SummarySettings.model_validate(dict(snakemake.params)), width, bold)
    print(text)
    # A terminal may lack letters that names and sentences have.
    encoding = screen.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=screen, flush=True)
