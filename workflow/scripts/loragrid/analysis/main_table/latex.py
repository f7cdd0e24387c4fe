r"""The table of the study in LaTeX, with the rules of booktabs: a file to take in by `\input`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from loragrid.analysis.main_table.captions import Marks, forgotten_head, forgotten_text, notes, title, words
from loragrid.analysis.main_table.cells import MISSING, Cell, Standing, decimals_by_metric, text_of
from loragrid.analysis.main_table.parts import Key, Part, unlike

MARKS = Marks(best="Bold", equivalent="=", undecided="≈", failed="f", cut_off="c")

PAGE_CHARACTERS = 120
"""How many characters of the size `footnotesize` stand beside each other on a page, between margins of an inch."""

PAGE_ROWS = 40
"""A table with more rows goes over several pages, with the package longtable."""

_GAP = 2
"""Characters between two columns."""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    "≈": r"$\approx$",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}

_RAISED = {MARKS.undecided: r"{\approx}", MARKS.equivalent: "{=}"}

HEAD = r"""% Taken in by \input. In the preamble: \usepackage{booktabs} and \usepackage{longtable}.
"""


def as_latex(parts: Sequence[Part]) -> str:
    """Each part as a table, or as several if it is too wide for a page."""
    numbers = [str(place) for place in range(1, len(parts) + 1)] if len(parts) > 1 else [""]
    tables = [table for number, part in zip(numbers, parts, strict=False) for table in _tables(part, number)]
    return "\n".join([HEAD, *tables]) if tables else f"{HEAD}% There are no results yet.\n"


def _tables(part: Part, number: str) -> Iterator[str]:
    """The tables of a part: each has all rows, and as many columns as a page holds.

    Args:
        number: of the part, for labels; empty if there is one part only.
    """
    places = decimals_by_metric(part.cells.values())
    pages = list(_pages(part, places))
    for page, columns in enumerate(pages, start=1):
        of_pages, own_number = (f" ({page} of {len(pages)})", str(page)) if len(pages) > 1 else ("", "")
        caption = escaped(f"{title(part)}{of_pages}. {' '.join(notes(part, MARKS))}")
        yield _table(part, columns, places, caption, "-".join(filter(None, ("tab:main", number, own_number))))


def _pages(part: Part, places: Mapping[str, int]) -> Iterator[list[Key]]:
    """The columns of a part as they stand on pages together."""
    labels = [tuple(map(words, part.row_axes)), *part.rows]
    taken = sum(max(len(label[i]) for label in labels) + _GAP for i in range(len(part.row_axes)))
    taken += sum(len(name) + _GAP for name in forgotten_head(part))
    page: list[Key] = []
    width = taken
    for column in part.columns:
        texts = [" ".join(text_of(cell, places[cell.metric])) for (_, at), cell in part.cells.items() if at == column]
        own = max(map(len, [*texts, *column])) + _GAP
        if page and width + own > PAGE_CHARACTERS:
            yield page
            page, width = [], taken
        page.append(column)
        width += own
    yield page


def _table(part: Part, columns: Sequence[Key], places: Mapping[str, int], caption: str, label: str) -> str:
    above_heads = [""] * (len(part.column_axes) - 1)
    heads = [*((*above_heads, words(axis)) for axis in part.row_axes), *columns]
    heads += [(*above_heads, name) for name in forgotten_head(part)]
    rows = [
        [
            *map(escaped, unlike(row, above)),
            *(_cell(part.cells.get((row, column)), places) for column in columns),
            *map(escaped, forgotten_text(part, row)),
        ]
        for row, above in zip(part.rows, [(), *part.rows], strict=False)
    ]
    names = [head[0] for head in heads] if len(part.column_axes) == 1 else pd.MultiIndex.from_tuples(heads)
    style = pd.DataFrame(rows, columns=names).style.hide(axis="index").format_index(escaped, axis=1)
    is_long = len(part.rows) > PAGE_ROWS
    text = style.to_latex(
        column_format="l" * len(heads),
        multicol_align="l",
        hrules=True,
        caption=caption,
        label=label,
        environment="longtable" if is_long else "table",
        position=None if is_long else "t",
        position_float=None if is_long else "centering",
    )
    # Classes leave their space above captions, which they expect below a table.
    size = "\\footnotesize\\setlength{\\tabcolsep}{3pt}\\setlength{\\belowcaptionskip}{4pt}"
    return f"{{{size}\n{text}}}\n" if is_long else text.replace("\\centering\n", f"\\centering{size}\n", 1)


def _cell(cell: Cell | None, places: Mapping[str, int]) -> str:
    if cell is None:
        return ""
    mean, interval = text_of(cell, places[cell.metric])
    mean = mean.replace(MISSING, "--")
    text = f"\\textbf{{{mean}}}" if cell.standing is Standing.BEST else mean
    interval = f" {{\\scriptsize {interval}}}" if interval else ""
    signs = ",".join(_RAISED.get(sign, f"\\mathrm{{{sign}}}") for sign in MARKS.of(cell))
    return f"{text}{interval}" + (f"$^{{{signs}}}$" if signs else "")


def escaped(text: object) -> str:
    """A text that LaTeX sets as it is."""
    return "".join(_SIGNS.get(sign, sign) for sign in " ".join(str(text).split()))
