"""What was typed, checked before Snakemake acts on it. The profile `default` calls this: nothing else of ours is read earlier."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from loragrid.config.spelling import check_files
from loragrid.errors import UserError
from loragrid.runtime.commands import check_command, config_files


def check_given(arguments: Sequence[str]) -> None:
    """End the process with a sentence if a command names what is no configuration file, or one with a slip.

    Args:
        arguments: without the program.
    """
    try:
        check_command(arguments)
        check_files(config_files(arguments))
    except UserError as error:
        sys.exit(str(error))
