"""Which experiment wrote a model card. The place of a card is shared by all experiments that have its run."""

from __future__ import annotations

import re
from pathlib import Path

from loragrid.layout import NAME

_MARK = re.compile(rf"^Scores that experiment `({NAME})` asks for\.$", re.MULTILINE)


def experiment_mark(name: str) -> str:
    """The sentence of a card that names its experiment."""
    return f"Scores that experiment `{name}` asks for."


def is_of_another_experiment(card: str | Path, name: str | None) -> bool:
    """Whether a card exists on this machine that another experiment wrote.

    Args:
        name: of this experiment; None: it has none, as those whose cards name no experiment.
    """
    try:
        match = _MARK.search(Path(card).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False
    return (match and match[1]) != name
