"""Jinja templates over the fields of a row. They run in a sandbox: neither templates nor data can reach the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import compress
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, Undefined, UndefinedError
from jinja2.environment import TemplateExpression
from jinja2.sandbox import ImmutableSandboxedEnvironment

from loragrid.errors import UserError

_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


def marked(items: Any, marks: Any) -> list[Any]:
    """Template filter: the items of a list that have a true mark. A mapping of lists is read list by list, in its order."""
    if isinstance(items, Mapping):
        return [item for key in items for item in marked(items[key], marks[key])]
    return list(compress(items, marks))


_ENVIRONMENT.filters["marked"] = marked


@cache
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def syntax_error(template: str) -> str | None:
    """What is wrong with the syntax of a template, or None."""
    try:
        _compiled(template)
    except TemplateError as error:
        return error.message
    return None


@cache
def _expression(text: str) -> TemplateExpression:
    return _ENVIRONMENT.compile_expression(text, undefined_to_none=False)


def evaluate_expression(expression: str, row: Mapping[str, Any]) -> Any:
    """The value of a Jinja expression with the fields of a row.

    Raises:
        UserError: saying what is wrong and, where a field is missing, which ones there are.
    """
    with _told(row):
        value = _expression(expression)(**row)
        if isinstance(value, Undefined):
            str(value)
        return value


def fill_template(template: str, row: Mapping[str, Any]) -> str:
    """The text that a template becomes with the fields of a row.

    Raises:
        UserError: saying what is wrong and, where a field is missing, which ones there are.
    """
    with _told(row):
        return _compiled(template).render(row)


@contextmanager
def _told(row: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except UndefinedError as error:
        raise UserError(f"{error.message}; the row has: {', '.join(row)}.") from None
    except (TemplateError, TypeError, ValueError, LookupError) as error:
        raise UserError(f"{type(error).__name__}: {error}.") from None
