"""The table of the study in a terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from textwrap import fill

from loragrid.analysis.main_table.boxes import GAP, Box, beside, joined
from loragrid.analysis.main_table.captions import Marks, notes, title, words
from loragrid.analysis.main_table.cells import Cell, Standing, decimals_by_metric, text_of
from loragrid.analysis.main_table.parts import Key, Part, unlike

MARKS = Marks(best="*", equivalent="=", undecided="~", failed="f", cut_off="c")

MOST_ROWS = 40
"""How many rows of a part are shown: the best of each column, what is not trained, and the next best of each column in turn."""

LEAST_WIDTH = 6
"""How narrow a column may become. In a terminal without room for that, lines are longer than it is wide."""

Texts = Mapping[tuple[Key, Key], str]


def as_text(parts: Sequence[Part], width: int, bold: bool, whole: str) -> str:
    """Each part with its title, its table and its caption.

    Args:
        width: of the terminal, in characters.
        bold: whether the best are set in bold, by the signs that terminals know.
        whole: where the whole table is, for parts with more rows than are shown.
    """
    captions = [fill(" ".join(notes(part, MARKS)), width) for part in parts]
    blocks = []
    for part, own, following in zip(parts, captions, [*captions[1:], ""], strict=True):
        # What holds for several parts is said below the last of them.
        blocks += [_part(part, width, bold, whole), *([own] if own != following else [])]
    return "\n\n".join(blocks)


def _part(part: Part, width: int, bold: bool, whole: str) -> str:
    places = decimals_by_metric(part.cells.values())
    texts = {place: _cell_text(cell, places) for place, cell in part.cells.items()}
    rows = shown_rows(part)
    label_widths = _label_widths(part, rows, texts, width)
    heads = [Box(words(axis), of_axis) for axis, of_axis in zip(part.row_axes, label_widths, strict=True)]
    lines = [fill(title(part), width), ""]
    for columns in _side_by_side(part, texts, width - sum(head.width + len(GAP) for head in heads)):
        lines += [*_table(part, rows, heads, columns, texts, bold), ""]
    if len(rows) < len(part.rows):
        lines += [fill(f"{len(part.rows) - len(rows):,} more rows are in {whole}.", width), ""]
    return "\n".join(lines[:-1])


def shown_rows(part: Part) -> list[Key]:
    """All rows, or of too many the best of each column, what is not trained, and the next best of each column in turn."""
    if len(part.rows) <= MOST_ROWS:
        return part.rows
    first, *others = zip_longest(*(_ranked(part, column) for column in part.columns))
    untrained = {row for (row, _), cell in part.cells.items() if not cell.is_trained}
    wanted = [*first, *(row for row in part.rows if row in untrained), *chain.from_iterable(others)]
    kept = set(list(dict.fromkeys(row for row in wanted if row is not None))[:MOST_ROWS])
    return [row for row in part.rows if row in kept]


def _ranked(part: Part, column: Key) -> list[Key]:
    """The rows with a result in a column, the best first."""
    cells = {row: cell for (row, at), cell in part.cells.items() if at == column}
    ranks = {row: -cell.mean if not part.lower_is_better[cell.metric] else cell.mean for row, cell in cells.items()}
    return sorted(ranks, key=lambda row: (math.isnan(ranks[row]), ranks[row]))


def _cell_text(cell: Cell, places: Mapping[str, int]) -> str:
    signs = [*([MARKS.best] if cell.standing is Standing.BEST else []), *MARKS.of(cell)]
    return " ".join(part for part in (*text_of(cell, places[cell.metric]), "".join(signs)) if part)


def _label_widths(part: Part, rows: Sequence[Key], texts: Texts, width: int) -> list[int]:
    """The width of each column of labels. The widest become narrower until all figures have room, or half of the terminal."""
    widths = [max(map(len, [*re.split(r"\s", words(axis)), " " * LEAST_WIDTH])) for axis in part.row_axes]
    for row in rows:
        *before, last = joined([Box(label, width) for label, width in zip(row, widths, strict=True)])
        widths[: len(before)] = [max(box.width, len(box.text)) for box in before]
        widths[-1] += max(0, len(last.text) - last.width)
    widest = max([LEAST_WIDTH, *map(len, texts.values())])
    room = max(width - len(part.columns) * (widest + len(GAP)), min(width // 2, width - widest)) + len(GAP)
    while sum(widths) + len(GAP) * len(widths) > room and max(widths) > LEAST_WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths


def _side_by_side(part: Part, texts: Texts, room: int) -> Iterator[dict[Key, int]]:
    """The columns that stand beside each other, with their widths."""
    shown: dict[Key, int] = {}
    for column in part.columns:
        own = max([LEAST_WIDTH, *(len(text) for (_, at), text in texts.items() if at == column)])
        if shown and sum(shown.values()) + len(GAP) * len(shown) + own > room:
            yield shown
            shown = {}
        shown[column] = own
    yield shown


def _table(
    part: Part, rows: Sequence[Key], heads: Sequence[Box], columns: Mapping[Key, int], texts: Texts, bold: bool
) -> Iterator[str]:
    """The lines of a table.

    Args:
        heads: of the columns of labels.
        columns: with their widths.
    """
    last = len(part.column_axes) - 1
    for level in range(last + 1):
        labels = heads if level == last else [head._replace(text="") for head in heads]
        yield from beside([*labels, *(Box(column[level], width) for column, width in columns.items())])
    yield GAP.join("-" * width for width in [*(head.width for head in heads), *columns.values()])
    above: Key = ()
    for row in (row for row in rows if any((row, column) in texts for column in columns)):
        labels = joined([head._replace(text=label) for head, label in zip(heads, unlike(row, above), strict=True)])
        yield from beside([*labels, *_figures(part, row, columns, texts, bold)])
        above = row


def _figures(part: Part, row: Key, columns: Mapping[Key, int], texts: Texts, bold: bool) -> Iterator[Box]:
    for column, width in columns.items():
        cell = part.cells.get((row, column))
        yield Box(texts.get((row, column), ""), width, bold and cell is not None and cell.standing is Standing.BEST)
