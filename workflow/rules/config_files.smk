import sys
from pathlib import Path

sys.path.insert(0, str(Path(workflow.basedir) / "workflow/scripts"))

from loragrid.config.spelling import check_files
from loragrid.errors import UserError, printable


def read_as_written(default):
    """Read the configuration before Snakemake does, which names neither file nor line of a mistake."""
    # Jobs get what the main process has read.
    if workflow.is_main_process:
        try:
            check_files([*filter(Path.is_file, [Path(default)]), *workflow.configfiles])
        except UserError as error:
            sys.exit(printable(str(error)))


read_as_written("config/config.yaml")
