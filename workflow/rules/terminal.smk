import os
import sys

from loragrid.patches.snakemake_screen import failed_and_left, shorten_screen
from loragrid.runtime.commands import command, remember_command
from loragrid.runtime.screen import SHOWN_BY_MAIN, outcome

if workflow.is_main_process:
    remember_command(sys.argv)
    shorten_screen(workflow)
else:
    # Nobody but the job itself shows its sentence here.
    os.environ.pop(SHOWN_BY_MAIN, None)


def what_failed():
    """The last words of a run with failed jobs."""
    return outcome(*failed_and_left(workflow), report=command("partial_report"))
