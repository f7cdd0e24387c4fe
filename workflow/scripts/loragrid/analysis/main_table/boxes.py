"""Texts beside each other in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

GAP = "  "
"""Between two boxes."""

_BOLD, _PLAIN = "\033[1m", "\033[0m"


class Box(NamedTuple):
    """A text in a column of some width."""

    text: str
    width: int
    is_bold: bool = False

    @property
    def lines(self) -> list[str]:
        """Its lines, filled up to its width."""
        lines = [line.ljust(self.width) for line in wrapped(self.text, self.width)]
        return [f"{_BOLD}{line}{_PLAIN}" for line in lines] if self.is_bold else lines


def beside(boxes: Sequence[Box]) -> Iterator[str]:
    """The lines of boxes beside each other: as many as the longest of them has."""
    columns = [box.lines for box in boxes]
    for place in range(max(map(len, columns))):
        parts = [lines[place] if place < len(lines) else " " * box.width for lines, box in zip(columns, boxes, strict=True)]
        yield GAP.join(parts).rstrip()


def joined(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, the last with a text as wide as all that are empty behind it."""
    last = max((place for place, box in enumerate(boxes) if box.text), default=0)
    width = sum(box.width for box in boxes[last:]) + len(GAP) * (len(boxes) - 1 - last)
    return [*boxes[:last], boxes[last]._replace(width=width)]


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of a width, broken behind spaces and the signs that join the parts of a name, else anywhere."""
    lines = [""]
    for piece in re.findall(r"[^\s_./,-]*[\s_./,-]?", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]
