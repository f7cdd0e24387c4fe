"""Figures on disk: for print, for the screen, and for others' programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from loragrid.analysis.figures.figure import Figure
from loragrid.analysis.figures.names import CAPTIONS, TITLES
from loragrid.analysis.figures.pdf import in_order
from loragrid.analysis.figures.theme import PAPER
from loragrid.analysis.table_files import write_table
from loragrid.runtime.files import write_json, written_whole

VEGA_LITE = "6.4"
PNG_PPI = 144
"""Two dots for each of the figure's 72 to an inch."""

SUBTITLE_WIDTH = 120
"""Characters of a line below the title."""

TEXT, NUMBER, WHOLE = "text", "number", "whole"
"""What a column of rows holds, as the file of the specification says it: names may look like numbers."""


def write_figures(figures: Mapping[str, Figure], outputs: Mapping[str, str | Path]) -> None:
    """Write figures in every format, whole or not at all; the same figure has the same bytes.

    Args:
        figures: by their names in `layout.FIGURES`.
        outputs: where each is written, by the names in `layout`.
    """
    for name, figure in figures.items():
        drawn = drawing(name, figure)
        svg = as_svg(drawn)
        contents = {
            "": svg.encode(),
            "_png": vl_convert.svg_to_png(svg, ppi=PNG_PPI),
            "_pdf": in_order(vl_convert.svg_to_pdf(svg)),
        }
        for output, content in contents.items():
            with written_whole(outputs[f"{name}{output}"]) as temporary:
                temporary.write_bytes(content)
        write_table(figure.rows, outputs[f"{name}_csv"])
        write_json(outputs[f"{name}_json"], described(name, figure))


def described(name: str, figure: Figure) -> dict[str, Any]:
    """The specification with what the page says about the figure: title, caption and note, and what its columns hold."""
    about = {"title": TITLES[name], "caption": CAPTIONS[name], "note": figure.note, "columns": kinds_of(figure.rows)}
    return {**figure.spec, "usermeta": about}


def kinds_of(rows: pd.DataFrame) -> dict[str, str]:
    """What each column holds."""
    numeric, whole = pd.api.types.is_numeric_dtype, pd.api.types.is_integer_dtype
    return {str(name): WHOLE if whole(column) else NUMBER if numeric(column) else TEXT for name, column in rows.items()}


def values_of(column: pd.Series) -> list[Any]:
    """The values of a column for JSON: None where there is none, or no finite number."""
    if pd.api.types.is_float_dtype(column):
        column = column.replace([float("inf"), float("-inf")], float("nan"))
    return [value.item() if hasattr(value, "item") else value for value in column.astype(object).where(column.notna(), None)]


def drawing(name: str, figure: Figure) -> dict[str, Any]:
    """The specification of the file: with title and rows; or with the words that there is nothing to show."""
    title: dict[str, Any] = {"text": TITLES[name]}
    if figure.rows.empty:
        words = {"type": "text", "text": "no data", "fontSize": 14}
        spec: dict[str, Any] = {"data": {"values": [{}]}, "mark": words, "width": 300, "height": 80}
        return spec | {"title": title}
    columns = {str(key): values_of(column) for key, column in figure.rows.items()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if figure.note:
        title["subtitle"] = wrapped(figure.note)
    return {**figure.spec, "data": {"name": "rows", "values": rows}, "title": title}


def wrapped(text: str) -> list[str]:
    """The lines of a text."""
    return re.findall(rf".{{1,{SUBTITLE_WIDTH}}}(?:\s+|$)", text)


def as_svg(spec: dict[str, Any]) -> str:
    """The picture on a light page."""
    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, config=PAPER, allowed_base_urls=[])
    # Vega counts on through all pictures of a process.
    numbers: dict[str, str] = {}
    return re.sub(r"\b(clip|gradient_)\d+", lambda found: numbers.setdefault(found[0], f"{found[1]}{len(numbers)}"), svg)
