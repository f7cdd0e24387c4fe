"""Jinja whose templates end: their steps, texts, lists and numbers have limits that no template in use comes near.

A sandbox keeps templates from the program. It does not keep them from taking all memory or time, as `'x' * 10**9` does. Limits
are counted, not timed: a template that fails does so on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.visitor import NodeTransformer
from markupsafe import EscapeFormatter, Markup

from loragrid.errors import UserError

MOST_STEPS = 1_000_000
"""Steps of one filling of a template: an item of a loop, or a filter, is one; a call is three; 100 characters are one."""

LONGEST_TEXT = 10_000_000
"""Characters of a text that a template makes."""

LONGEST_LIST = 1_000_000
"""Items of a list that a template makes, those of the lists in it included."""

LARGEST_WIDTH = 100_000
"""Widths, indents and numbers of digits."""

LARGEST_NUMBER = 100_000
"""Bits of a whole number."""

DEEPEST = 100
"""Brackets within each other."""

COUNTED, BUILT = "counted", "built"
"""Filters that stand around what a loop goes through, and around lists that a template makes."""

_steps_left: ContextVar[list[int] | None] = ContextVar("steps_left", default=None)


@contextmanager
def counted_steps() -> Iterator[None]:
    """Templates that are filled in the block have so many steps together. In a block inside, the count goes on."""
    if _steps_left.get() is not None:
        yield
        return
    token = _steps_left.set([MOST_STEPS])
    try:
        yield
    finally:
        _steps_left.reset(token)


def _step(number: int = 1) -> None:
    left = _steps_left.get()
    if left is not None:
        left[0] -= number
        if left[0] < 0:
            raise UserError(f"the template takes more than {MOST_STEPS:,} steps; expected loops that end sooner.")


def _check_text(length: int) -> None:
    if length > LONGEST_TEXT:
        raise UserError(f"the template makes a text of more than {LONGEST_TEXT:,} characters; expected a shorter one.")


def _check_list(length: int) -> None:
    if length > LONGEST_LIST:
        raise UserError(f"the template makes a list of more than {LONGEST_LIST:,} items; expected a shorter one.")


def _check_width(value: Any) -> None:
    if isinstance(value, int) and abs(value) > LARGEST_WIDTH:
        raise UserError(f"the template asks for a width of {_short(value)}; expected at most {LARGEST_WIDTH:,}.")


def _short(number: int) -> str:
    return str(number) if number.bit_length() < 100 else f"a number of {number.bit_length()} bits"


def _check_number(bits: float) -> None:
    if bits > LARGEST_NUMBER:
        raise UserError(f"the template makes a number of more than {LARGEST_NUMBER:,} bits; expected a smaller one.")


def _check_size(left: int, right: int, value: Any) -> None:
    """A text or a list of `left` characters or items, `right` times."""
    (_check_text if isinstance(value, str | bytes) else _check_list)(left * max(right, 0))


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be too large.

    Raises:
        UserError: saying what is too large.
    """
    _step()
    whole = isinstance(left, int) and isinstance(right, int)
    match operator:
        case "*" if whole:
            _check_number(left.bit_length() + right.bit_length())
        case "*":
            for one, other in ((left, right), (right, left)):
                if isinstance(one, str | bytes | list | tuple) and isinstance(other, int):
                    _check_size(len(one), other, one)
        case "**" if whole:
            _check_number(left.bit_length() * max(right, 0))
        case "+" if isinstance(left, str | bytes | list | tuple) and isinstance(right, Sized):
            _check_size(len(left) + len(right), 1, left)
        case "%" if isinstance(left, str | bytes):
            _check_specification(str(left), right)


_PERCENT = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(\d+|\*)?(?:\.(\d+|\*))?")


def _check_specification(format_: str, values: Any) -> None:
    """Refuse widths in `printf`-style formatting."""
    given = values if isinstance(values, tuple) else tuple(values.values()) if isinstance(values, Mapping) else (values,)
    specifications = _PERCENT.findall(format_)
    _check_text(len(format_) + len(specifications) * max((len(one) for one in given if isinstance(one, str)), default=0))
    for widths in specifications:
        for width in widths:
            if width == "*":
                for value in given:
                    _check_width(value)
            elif width:
                _check_width(int(width[:20]))


class _Formatter(SandboxedFormatter):
    """`str.format` with limits."""

    length = 0

    def format_field(self, value: Any, format_spec: str) -> Any:
        _step()
        for width in re.findall(r"\d+", format_spec):
            _check_width(int(width[:20]))
        formatted = super().format_field(value, format_spec)
        self.length += len(formatted)
        _check_text(self.length)
        return formatted


class _EscapingFormatter(_Formatter, EscapeFormatter):
    """The same, of texts that are safe in HTML."""


def _check_call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse a call whose result would be too large: of a method that lengthens texts."""
    _step(3)
    text, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    given = [*args, *kwargs.values()]
    if isinstance(text, str | bytes):
        if name in ("center", "ljust", "rjust", "zfill", "expandtabs"):
            for value in given:
                _check_width(value)
            if name == "expandtabs":
                _check_text(len(text) + len(text) * max([one for one in given if isinstance(one, int)], default=8))
        elif name == "replace":
            _check_replaced(text, *args)
        elif name == "join" and args and isinstance(args[0], Collection):
            items = list(args[0])
            _check_text(len(text) * len(items) + sum(len(item) for item in items if isinstance(item, Sized)))
        elif name == "translate" and args and isinstance(args[0], Mapping):
            _check_text(len(text) * max((len(one) for one in args[0].values() if isinstance(one, str)), default=1))
    elif isinstance(text, int) and name == "to_bytes":
        for value in given:
            _check_width(value)


def _check_replaced(text: Any, *args: Any) -> None:
    if len(args) >= 2 and isinstance(args[0], Sized) and isinstance(args[1], Sized):
        times = text.count(args[0]) if len(args[0]) else len(text) + 1
        if len(args) > 2 and isinstance(args[2], int) and args[2] >= 0:
            times = min(times, args[2])
        _check_text(len(text) + times * len(args[1]))


_WITH_WIDTHS = ("batch", "center", "indent", "int", "round", "slice", "tojson", "truncate", "urlize", "wordwrap")
"""Filters with widths, numbers of items or of digits among their arguments."""


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that refuses what would be too large."""
    needs = getattr(function, "jinja_pass_arg", None)

    @wraps(function)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        _step()
        value, *given = args if needs is None else args[1:]
        if isinstance(value, Sized):
            _step(len(value) // 100)
        if name in _WITH_WIDTHS:
            for one in (*given, *kwargs.values()):
                _check_width(one)
        if name == "indent" and isinstance(value, str):
            width = given[0] if given else kwargs.get("width", 4)
            _check_text(len(value) + (value.count("\n") + 1) * (len(width) if isinstance(width, str) else int(width)))
        if name == "replace":
            _check_replaced(str(value), *map(str, given[:2]), *given[2:])
        if name in ("tojson", "pprint", "string", "list"):
            _step(_values_in(value))
        result = function(*args, **kwargs)
        if isinstance(result, str | bytes):
            _check_text(len(result))
            _step(len(result) // 100)
        return result

    if needs is not None:
        filtered.jinja_pass_arg = needs  # type: ignore[attr-defined]
    return filtered


def _values_in(value: Any) -> int:
    """How many values there are in lists and mappings within each other, counted as far as is allowed."""
    number, open_ = 0, [value]
    while open_:
        one = open_.pop()
        number += 1
        _check_list(number)
        if isinstance(one, Mapping):
            open_ += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            open_ += one
    return number


def _counted(value: Any) -> Any:
    """What a loop goes through; each item is a step."""
    if isinstance(value, Sized):
        _step(len(value))
        return value
    return value if isinstance(value, Undefined) else _each_counted(value)


def _each_counted(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        _step()
        yield item


def _built(value: Any) -> Any:
    _step(_values_in(value))
    return value


def _joined(pieces: Iterable[str]) -> str:
    """The text of pieces, as Jinja puts together what a template writes."""
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        _check_text(length)
        kept.append(piece)
    return "".join(kept)


class _Counting(NodeTransformer):
    """Puts filters around what loops go through, and around lists that are made while a template is filled."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        self.generic_visit(node, *args, **kwargs)
        if isinstance(node, nodes.For):
            node.iter = nodes.Filter(node.iter, COUNTED, [], [], None, None, lineno=node.lineno)
        elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
            raise UserError(f"line {node.lineno}: a template cannot take in others (include, import, extends).")
        elif isinstance(node, nodes.List | nodes.Tuple | nodes.Dict) and getattr(node, "ctx", "load") == "load":
            inner = node.items if not isinstance(node, nodes.Dict) else [pair.value for pair in node.items]
            if any(not isinstance(one, nodes.Const) for one in inner):
                return nodes.Filter(node, BUILT, [], [], None, None, lineno=node.lineno)
        return node


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Jinja in a sandbox, with limits."""

    intercepted_binops = frozenset(["%", "*", "**", "+"])
    concat = staticmethod(_joined)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A text by chance would be another one the next time.
        self.globals.pop("lipsum", None)
        self.filters.pop("random", None)

    def _bound_filters(self) -> None:
        self.filters = {name: _bounded(name, function) for name, function in self.filters.items()}
        self.filters |= {COUNTED: _counted, BUILT: _built}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        # Filters may be added until the first template is compiled.
        if COUNTED not in self.filters:
            self._bound_filters()
        return super()._generate(_Counting().visit(source), *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in the class above
        _check_call(__obj, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text = value.__self__

        @wraps(value)
        def formatted(*args: Any, **kwargs: Any) -> str:
            if value.__name__ == "format_map":
                (kwargs,), args = args, ()
            formatter = _EscapingFormatter(self, escape=text.escape) if isinstance(text, Markup) else _Formatter(self)
            result: str = type(text)(formatter.vformat(text, args, kwargs))
            return result

        return formatted


def too_deep(template: str) -> int | None:
    """The line where more brackets are open than a compiler can hold; None if there is none."""
    open_ = 0
    for sign in re.finditer(r"[(\[{)\]}]", template):
        open_ = open_ + 1 if sign[0] in "([{" else max(open_ - 1, 0)
        if open_ > DEEPEST:
            return template.count("\n", 0, sign.start()) + 1
    return None
