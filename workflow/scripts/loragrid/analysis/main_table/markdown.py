"""The table of the study in Markdown, as GitHub reads it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loragrid.analysis.main_table.captions import Marks, forgotten_head, forgotten_text, notes, title, words
from loragrid.analysis.main_table.cells import Cell, Standing, decimals_by_metric, text_of
from loragrid.analysis.main_table.parts import Part

MARKS = Marks(best="Bold", equivalent="=", undecided="≈", failed="f", cut_off="c")


def as_markdown(parts: Sequence[Part]) -> str:
    """Each part with its title, its caption and a table."""
    captions = [escaped(" ".join(notes(part, MARKS))) for part in parts]
    blocks = []
    for part, own, before in zip(parts, captions, ["", *captions], strict=False):
        # What holds for several parts is said above the first of them.
        blocks += [f"**{escaped(title(part))}.** {own if own != before else 'As above.'}", _table(part)]
    return "\n\n".join(blocks or ["There are no results yet."]) + "\n"


def _table(part: Part) -> str:
    places = decimals_by_metric(part.cells.values())
    heads = [*map(words, part.row_axes), *(" / ".join(column) for column in part.columns), *forgotten_head(part)]
    rows = [
        [
            *map(escaped, row),
            *(_cell(part.cells.get((row, column)), places) for column in part.columns),
            *forgotten_text(part, row),
        ]
        for row in part.rows
    ]
    below = ["---"] * len(part.row_axes) + ["---:"] * (len(heads) - len(part.row_axes))
    lines = [[escaped(head) for head in heads], below, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(cell: Cell | None, places: dict[str, int]) -> str:
    if cell is None:
        return ""
    mean, interval = text_of(cell, places[cell.metric])
    signs = ",".join(MARKS.of(cell))
    text = f"**{mean}**" if cell.standing is Standing.BEST else mean
    return " ".join(part for part in (text, interval, f"<sup>{signs}</sup>" if signs else "") if part)


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, in one line. An underscore inside a word means nothing there."""
    return re.sub(r"([\\`*\[\]<>|~#&]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(text.split()))
