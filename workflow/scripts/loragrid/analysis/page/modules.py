"""The page's own code, and the packages that it stands on, as they are put into the page.

The sources are small ES modules in `source/`, which import each other by name. There is no build step: each module becomes a
function that is called at once and gives what the module exports. They stand in one inline script, each after those that it
imports. For this a module keeps to two forms: `import { names } from "./module.js";` in a line of its own, and `export` before a
declaration.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("source")

START = "main"
"""The module that the page begins with."""

STYLES = ("colours.css", "page.css", "tables.css", "answers.css", "print.css")
"""In the order in which later rules come before earlier ones."""

CHARTS = ("vegaEmbed", "vega", "vegaLite")
"""What the page's own code calls of the charts' bundle."""

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z_]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
_EXPORTS_OF_DATATABLES = re.compile(r"export\{[^}]*?([\w$]+) as default,[^}]*\}")


class PageSource(NamedTuple):
    """What the page's shell puts inline."""

    css: str
    scripts: list[str]
    """Each for an own `<script type="module">`, in this order."""


def page_source() -> PageSource:
    """Styles and scripts of the page: charts, tables, and the page's own code."""
    css = "\n".join((SOURCE / name).read_text(encoding="utf-8") for name in STYLES)
    return PageSource(css, [_inline(script) for script in (charts(), data_tables(), own_code())])


def own_code() -> str:
    """The modules of `source/` as one script."""
    return script_of(module_order())


def script_of(names: Sequence[str]) -> str:
    """Modules as one script, in this order; each is then a constant of its name."""
    return "\n".join(map(_as_function, names))


def module_order() -> list[str]:
    """The names of all modules that the page uses, each after those that it imports.

    Raises:
        ValueError: if modules import each other in a circle.
    """
    order: list[str] = []

    def visit(name: str, importing: tuple[str, ...] = ()) -> None:
        if name in importing:
            raise ValueError(f"modules import each other in a circle: {' -> '.join((*importing, name))}")
        if name not in order:
            for _, imported in _IMPORT.findall(_read(name)):
                visit(imported, (*importing, name))
            order.append(name)

    visit(START)
    return order


def _as_function(name: str) -> str:
    """A module as a constant of its name, which holds what it exports."""
    source = _read(name)
    exported = ", ".join(_EXPORT.findall(source))
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = \2;", source))
    return f"const {name} = (() => {{\n{body}return {{ {exported} }};\n}})();"


@cache
def charts() -> str:
    """Vega, Vega-Lite and Vega-Embed, in the version that draws the figures on disk, as properties of `window`."""
    # Bundling takes seconds, and importing takes memory that other jobs do not need.
    import vl_convert

    from loragrid.analysis.figures.files import VEGA_LITE

    return vl_convert.javascript_bundle("".join(f"window.{name}={name};" for name in CHARTS), vl_version=VEGA_LITE)


@cache
def data_tables() -> str:
    """DataTables, as `window.DataTable`.

    Raises:
        ValueError: if the bundle is not made as it was when this was written.
    """
    spec = find_spec("itables")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'itables'", name="itables")
    bundle = Path(spec.origin).with_name("html").joinpath("dt_bundle.js").read_text(encoding="utf-8")
    script, replaced = _EXPORTS_OF_DATATABLES.subn(r"window.DataTable=\1", bundle)
    if replaced != 1:
        raise ValueError("the bundle of DataTables in itables does not end with the exports that are expected")
    return script


def _read(name: str) -> str:
    return (SOURCE / f"{name}.js").read_text(encoding="utf-8")


def _inline(script: str) -> str:
    """A script whose end HTML sees only where it is: in strings and patterns, a backslash before these signs changes nothing."""
    return re.sub(r"<(?=/script|!--)", r"<\\", script, flags=re.IGNORECASE)
