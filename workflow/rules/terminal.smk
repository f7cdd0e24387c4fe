import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import Quietness

from loragrid.patches.snakemake_screen import show_by
from loragrid.runtime.commands import command, remember_command
from loragrid.runtime.screen import SHOWN_BY_MAIN, SHOWS_JOBS, outcome
from loragrid.runtime.screen_records import Screen, failed_and_left, failed_rules

if workflow.is_main_process:
    remember_command(sys.argv)
    is_shortened = show_by(Screen, workflow)
else:
    # In the process of a job that an engine has started, nobody but the job itself shows its sentence.
    is_shortened = False

if workflow.is_main_process and not {Quietness.ALL, Quietness.RULES} & set(workflow.output_settings.quiet or ()):
    os.environ[SHOWS_JOBS] = "1"

if is_shortened:
    os.environ[SHOWN_BY_MAIN] = "1"
else:
    os.environ.pop(SHOWN_BY_MAIN, None)


class Refusal(WorkflowError):
    """One sentence for the user, from a function that Snakemake calls. The screen shows nothing else of it."""


def what_failed():
    """The last words of a run with failed jobs."""
    return outcome(*failed_and_left(workflow), report=command("partial_report"), rules=failed_rules(workflow))
