"""The screen of Snakemake 9, which another formatter can write: https://github.com/snakemake/snakemake-interface-logger-plugins.

By default, Snakemake prints three lines for each job of a dry run, with all files that are the reason. Of a failed job it prints
all files too, beside `RuleException`, the call of the script and `message: None`. A plugin for its log could do better, but has
to be an installed package. So this changes the handler that writes to the screen. Snakemake's files under `.snakemake/log` stay
complete, and `--verbose` leaves the screen as it was. The patch can go when a workflow can bring a logger plugin along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snakemake.logging import DefaultFormatter, logger

from loragrid.patches.versions import is_snakemake_9

DRY_RUN_LOG = Path(".snakemake/log/dry-run.log")
"""All that Snakemake has to say about the jobs of the last dry run."""


def show_by(make_screen: Callable[[Any, Any, str], Any], workflow: Any) -> bool:
    """Have a formatter write what Snakemake's main process shows, and choose what that is.

    Nothing changes if the user wants to see all (`--verbose`, `--debug-dag`), or if a plugin writes to the screen.

    Args:
        make_screen: makes a formatter with the method `shows`, from the workflow, the handler and the path of the details of a
            dry run.

    Returns:
        Whether it does.
    """
    settings = workflow.output_settings
    handler = next((one for one in logger.handlers if one.name == "DefaultStreamHandler"), None)
    if not is_snakemake_9() or handler is None or not handler.filters or settings.verbose or settings.debug_dag:
        return False
    screen = make_screen(workflow, handler, str(DRY_RUN_LOG))
    handler.setFormatter(screen)
    handler.filters[:] = [screen.shows]
    if settings.dryrun:
        _keep_details()
    return True


def _keep_details() -> None:
    """Write what a dry run does not show to a file; in a folder that nobody may write to, nowhere."""
    try:
        DRY_RUN_LOG.parent.mkdir(parents=True, exist_ok=True)
        details = logging.FileHandler(DRY_RUN_LOG, mode="w", encoding="utf-8")
    except OSError:
        return
    details.setFormatter(DefaultFormatter())
    logger.addHandler(details)
