"""Prose and shell of the page, from templates. What comes from models and data is text in them, never markup."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from loragrid.analysis.contrasts.sentences import differing, percent

FOLDER = Path(__file__).parent


def section(id: str, facts: Mapping[str, Any]) -> Markup:
    """The prose of a section, with the places for its tables and figures."""
    return Markup(_environment().get_template(f"{id}.html.j2").render(facts))


def rendered(**parts: Any) -> str:
    """The whole page."""
    return _environment().get_template("page.html.j2").render(parts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader([FOLDER, FOLDER / "sections"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "differing": differing}
    return environment


def number(value: float | None, digits: int = 3) -> str:
    """A number for the reader; a dash if there is none."""
    if value is None or pd.isna(value):
        return "–"
    return f"{value:,.{digits}f}".replace("inf", "∞").replace("-", "\N{MINUS SIGN}")
