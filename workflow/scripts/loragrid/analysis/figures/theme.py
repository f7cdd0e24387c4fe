"""Colours, and the look of figures on paper."""

from __future__ import annotations

from typing import Any

CATEGORIES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C"]
"""Okabe & Ito's colours, which colour-blind readers can tell apart, too; grey in the place of black and yellow, which a dark or
light page would hide."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
"""As there is one more shape than colours, both together tell 56 lines apart."""

LOW, MIDDLE, HIGH = "#D55E00", "#F2F2F2", "#0072B2"
"""Worse, the same, better; or negative, none, positive."""

RANGES: dict[str, Any] = {
    "category": CATEGORIES,
    "diverging": [LOW, MIDDLE, HIGH],
    "ramp": [MIDDLE, HIGH],
    "heatmap": [MIDDLE, HIGH],
    "symbol": SHAPES,
}
"""The colours of data, of paper and screen alike."""

VERDICTS = {"better": HIGH, "worse": LOW, "equivalent": "#009E73", "undecided": "#8C8C8C", "too little data": "#BDBDBD"}
VERDICT_SHAPES = ["triangle-up", "triangle-down", "square", "circle", "cross"]
"""Of the verdicts, so that they can be told in grey, too."""

ON_COLOUR = "#FFFFFF"
"""Text on cells of strong colour, on any page."""

ON_PALE = "#222222"
"""Text on cells of pale colour, on any page."""

INK, SOFT, GRID = "#222222", "#555555", "#E3E3E3"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""vl-convert brings the first one along, so that files look the same wherever they are made."""

_WORDS = {"labelColor": INK, "titleColor": INK, "labelFontSize": 10, "titleFontSize": 11, "titleFontWeight": "normal"}

PAPER: dict[str, Any] = {
    "background": "#FFFFFF",
    "padding": 10,
    "font": FONT,
    "axis": _WORDS | {"gridColor": GRID, "domainColor": SOFT, "tickColor": SOFT},
    "legend": _WORDS | {"labelLimit": 320},
    "header": _WORDS,
    "title": {"color": INK, "subtitleColor": SOFT, "fontSize": 13, "subtitleFontSize": 10, "anchor": "start", "offset": 12},
    "text": {"color": INK},
    "rule": {"color": INK},
    "view": {"stroke": None},
}
"""What files add to a figure: a light page, ready for print."""
