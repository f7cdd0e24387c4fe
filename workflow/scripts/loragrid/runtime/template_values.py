"""Values in templates: what text they become, and which of them a condition may ask for their truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sized
from itertools import compress
from numbers import Number
from typing import Any

from jinja2 import Undefined

from loragrid.errors import UserError

SPELLED_FALSE = ("false", "0", "0.0")
"""Texts, in any case, that stand for what is false where a file has only texts, as CSV does."""


SPELLED_LIST = re.compile(r"""\[(\s*(["'\d\[{(-].*)?)\]|[({]\s*["'].*[)}]|array\(.*\)""", re.DOTALL)
"""Texts of lists, tuples and mappings, as Python, JSON and numpy write them."""


def as_text(value: Any) -> str:
    """The text of a value in a template. None has none; true and false are written as in JSON.

    Raises:
        UserError: if the value is not a single one that has a text: a list, a mapping, bytes that are no text, a method.
    """
    if isinstance(value, str | Undefined):
        return str(value) if isinstance(value, Undefined) else value
    # NaN is the number that does not equal itself.
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if problem := _no_text(value):
        raise UserError(f"{problem}.")
    return str(value)


def _no_text(value: Any) -> str | None:
    """Why a value is no text, with what to do; None if it is."""
    if isinstance(value, Mapping):
        names = ", ".join(map(str, value)) or "nothing"
        return f"found a mapping with {names}; expected text: name one of them, as in {{{{ field.name }}}}"
    if isinstance(value, bytes | bytearray):
        return "found bytes that are not UTF-8 text; expected text: decode them, as in {{ field.decode('latin-1') }}"
    if callable(value):
        name = getattr(value, "__name__", "?")
        return f"found the method '{name}' of a value; expected text: a field of this name is written field['{name}']"
    if isinstance(value, Iterable):
        found = f"the list {_shortened(value)}" if isinstance(value, Sized) else "a list"
        pick, join = "{{ field[0] }}", "{{ field | join(', ') }}"
        return f"found {found}; expected text: pick an item, as in {pick}, or join them, as in {join}"
    if isinstance(value, Number) or any("__str__" in vars(base) for base in type(value).__mro__[:-1]):
        return None
    return f"found a value of type {type(value).__name__}; expected text"


def _shortened(value: Any, length: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= length else f"{text[:length]}…"


class _Truth(int):
    """True or false in a text to be formatted: a word as text, 1 or 0 as a number."""

    def __str__(self) -> str:
        return as_text(bool(self))

    def __format__(self, specification: str) -> str:
        return super().__format__(specification) if specification[-1:].isalpha() else format(str(self), specification)


def in_format(value: Any) -> Any:
    """A value as formatting gets it. Numbers and dates stay what they are, as `%.2f` needs them.

    Raises:
        UserError: as `as_text`.
    """
    if isinstance(value, tuple):
        return tuple(map(in_format, value))
    if isinstance(value, Mapping):
        return {key: in_format(inner) for key, inner in value.items()}
    if isinstance(value, bool):
        return _Truth(value)
    return value if as_text(value) else ""


def marked(items: Any, marks: Any) -> list[Any]:
    """Template filter: the items of a list that have a true mark. A mapping of lists is read list by list, in its order.

    Raises:
        UserError: if items or marks are no lists of the same length, or a mark is text.
    """
    if isinstance(items, Mapping):
        return [item for key in items for item in marked(items[key], marks[key])]
    for what, found in (("the items", items), ("the marks", marks)):
        if not isinstance(found, list | tuple):
            kind = "text" if isinstance(found, str) else type(found).__name__
            raise UserError(f"'marked' found {kind} for {what} ({_shortened(found)}); expected a list.")
    if len(items) != len(marks):
        raise UserError(f"'marked' found {len(items)} items and {len(marks)} marks; expected one mark for each item.")
    for mark in marks:
        no_text_true(mark)
    return list(compress(items, marks))


def no_spelled_list(value: Any) -> Any:
    """The value whose items are asked for.

    Raises:
        UserError: if it is text that spells a list, as CSV has it. Its items would be its characters.
    """
    if isinstance(value, str) and SPELLED_LIST.fullmatch(value.strip()):
        kinds = "CSV has only texts, but JSON, Parquet and builders have lists"
        raise UserError(f"found the text {_shortened(str(value))}, whose items are single characters; expected a list: {kinds}.")
    return value


def no_text_true(value: Any) -> Any:
    """The value of a condition that takes no text.

    Raises:
        UserError: if it is text. Text counts as true if it is not empty, whatever it says.
    """
    return _refused(value, lambda _: True)


def no_word_true(value: Any) -> Any:
    """The value of a condition that takes texts, unless they spell what is false.

    Raises:
        UserError: if the text would count as true although it says the contrary.
    """
    return _refused(value, lambda text: text.strip().casefold() in SPELLED_FALSE)


def _refused(value: Any, is_bad: Callable[[str], bool]) -> Any:
    if isinstance(value, Undefined):
        bool(value)
    if isinstance(value, str) and is_bad(value):
        said = "which counts as true like all text that is not empty" if value else "whose truth is unclear"
        compare = "compare it, as in field == 'True', or field != '' for any text"
        raise UserError(f"the condition is the text {_shortened(value)}, {said}; {compare}.")
    return value
