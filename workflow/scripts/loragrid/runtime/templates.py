"""Jinja templates over the fields of a row. They run in a sandbox: neither templates nor data can reach the program.

Texts that templates make hold no words of Python. What is missing gives no text, true and false are written as in JSON, and what
is no single value, such as a list, is an error.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, UndefinedError, nodes, pass_context
from jinja2.environment import TemplateExpression
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from loragrid.errors import UserError
from loragrid.runtime.template_limits import DEEPEST, BoundedEnvironment, check_operation, counted_steps, too_deep
from loragrid.runtime.template_names import syntax_hint, undefined_hint
from loragrid.runtime.template_values import as_text, in_format, marked, no_spelled_list, no_text_true, no_word_true

NOTES = "the notes of a filling"
"""The name under which a template's context holds what was met. It is no name that a template could use."""

MISSING, TEXT = "missing", "text"
"""The notes: a value was missing; a value gave text."""


class Filled(NamedTuple):
    """What a template became."""

    text: str
    notes: frozenset[str]
    """`MISSING` and `TEXT`, as they were met."""


@pass_context
def _shown(context: Context, value: Any) -> str:
    """The text of a value in a template, noted."""
    text = _noted(context, value)
    if text.strip():
        context.parent.get(NOTES, set()).add(TEXT)
    return text


def _noted(context: Context, value: Any) -> str:
    if value is None:
        context.parent.get(NOTES, set()).add(MISSING)
    return as_text(value)


def _given(function: Callable[..., Any], change: Callable[[Context, Any], Any]) -> Callable[..., Any]:
    """A filter of Jinja that gets its value changed."""
    needs = getattr(function, "jinja_pass_arg", None)

    @pass_context
    @wraps(function, updated=())
    def filtered(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        first = {"context": context, "eval_context": context.eval_ctx, "environment": context.environment}
        passed = () if needs is None else (first[needs.name],)
        return function(*passed, change(context, value), *args, **kwargs)

    return filtered


@pass_context
def _joined(context: Context, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    """Template filter: the texts of the items of a list, joined."""
    if isinstance(value, str):
        raise UserError(f"'join' was given the text {value!r}; expected a list.")
    items = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    return as_text(d).join(_noted(context, item) for item in items)


@pass_context
def _formatted(context: Context, value: Any, *args: Any, **kwargs: Any) -> str:
    """Template filter: `printf`-style formatting."""
    text = as_text(value)
    check_operation("%", text, kwargs or args)
    formatted: str = text % in_format(kwargs or args)
    return formatted


def _selecting(name: str, tested: Callable[[Any], Any]) -> Callable[..., Any]:
    """A filter of Jinja that selects items. Without a test, it asks the items, or an attribute of theirs, for their truth."""
    of_attribute = name.endswith("attr")

    @pass_context
    def selected(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        items = list(no_spelled_list(value) or ())
        if len(args) == of_attribute:
            asked = map(make_attrgetter(context.environment, args[0]), items) if of_attribute else items
            for one in asked:
                tested(one)
        return FILTERS[name](context, items, *args, **kwargs)

    return selected


TEXT_FILTERS = (
    "capitalize", "center", "e", "escape", "forceescape", "indent", "lower", "replace", "safe", "string", "striptags", "title",
    "trim", "truncate", "upper", "urlize", "wordcount", "wordwrap",
)  # fmt: skip
"""Filters of Jinja that call `str` on their value."""


ITEM_FILTERS = ("batch", "first", "groupby", "last", "list", "map", "reverse", "slice", "sort", "unique")
"""Filters of Jinja that take the items of a list. They take the characters of a text too."""


CONCATENATED, TESTED, ITERATED = "concatenated", "tested", "iterated"
"""Filters that take the place of the operator `~`, and that stand around conditions and around what a loop goes through."""


class _OwnOperators(NodeTransformer):
    """Lets filters do what Jinja's compiler does without asking: join texts by `~`, and ask whether a condition is true."""

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """The node as it is compiled."""
        self.generic_visit(node, *args, **kwargs)
        match node:
            case nodes.Concat():
                return _filter(nodes.List(node.nodes), CONCATENATED)
            case nodes.If() | nodes.CondExpr():
                node.test = _tested(node.test)
            case nodes.For():
                node.iter = _filter(node.iter, ITERATED)
                node.test = None if node.test is None else _tested(node.test)
            case nodes.Not():
                node.node = _tested(node.node)
        return node


def _filter(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno or 1)


def _tested(node: Any) -> nodes.Expr:
    """A condition, with its parts tested."""
    if isinstance(node, nodes.And | nodes.Or):
        return type(node)(_tested(node.left), _tested(node.right), lineno=node.lineno)
    # The parts of these are tested already, or they are neither text nor missing.
    return node if isinstance(node, nodes.Not | nodes.Compare | nodes.Test) else _filter(node, TESTED)


class _Environment(BoundedEnvironment):
    """Jinja, with texts and conditions in our sense.

    Args:
        tested: raises an error if the value of a condition must not be asked for its truth. It returns the value.
    """

    def __init__(self, tested: Callable[[Any], Any] | None) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, finalize=_shown)
        self.filters |= {name: _given(FILTERS[name], _noted) for name in TEXT_FILTERS}
        self.filters |= {"join": _joined, CONCATENATED: _joined, "format": _formatted, "marked": marked}
        self.filters |= {TESTED: tested or (lambda value: value), ITERATED: no_spelled_list if tested else (lambda value: value)}
        self._of_rows = tested is not None
        if tested:
            self.filters |= {name: _given(FILTERS[name], lambda _, value: no_spelled_list(value)) for name in ITEM_FILTERS}
            self.filters |= {name: _selecting(name, tested) for name in ("select", "reject", "selectattr", "rejectattr")}

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        _OwnOperators().visit(source)
        return super()._generate(source, *args, **kwargs)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(no_spelled_list(obj) if self._of_rows and isinstance(argument, int) else obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return super().call_binop(context, operator, left, in_format(right) if isinstance(left, str) else right)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        return lambda *args, **kwargs: wrapped(*map(in_format, args), **{key: in_format(arg) for key, arg in kwargs.items()})


_GENERAL = _Environment(None)
"""For templates over texts, which say everything."""


_OF_ROWS = _Environment(no_word_true)
"""For templates over raw data, which may spell what is true and false as text."""


_OF_CONDITIONS = _Environment(no_text_true)
"""For expressions that say whether a row is kept."""


@cache
def _compiled(template: str, environment: _Environment = _GENERAL) -> Template:
    return environment.from_string(template)


_OF_NAMES = (
    "expected token 'end of print statement', got '",
    "expected token 'end of statement block', got '",
    "unexpected char ",
)
"""What Jinja says where a name has spaces or signs."""


def _is_of_a_name(message: str) -> bool:
    return message.startswith(_OF_NAMES)


def syntax_error(template: str) -> str | None:
    """What is wrong with the syntax of a template, or None."""
    if (line := too_deep(template)) is not None:
        return f"line {line}: more than {DEEPEST} brackets within each other"
    return _error_of(template, lambda: _compiled(template))


def _error_of(template: str, compile_: Callable[[], object]) -> str | None:
    try:
        compile_()
    except TemplateSyntaxError as error:
        where = f"line {error.lineno}: " if "\n" in template.strip() else ""
        return f"{where}{error.message}{syntax_hint(template) if _is_of_a_name(str(error.message)) else ''}"
    except UserError as error:
        return str(error).rstrip(".")
    except (TemplateError, ValueError, TypeError) as error:
        return str(error).partition(";")[0] or type(error).__name__
    except (RecursionError, MemoryError, SyntaxError, OverflowError):
        return "it is too deeply nested, or too long"
    return None


def expression_error(expression: str) -> str | None:
    """What is wrong with the syntax of an expression, or None."""
    if expression.lstrip().startswith("{{"):
        return "an expression stands without {{ and }}"
    # The template has better words for what is wrong, but what ends it early could go on behind it.
    return syntax_error(f"{{{{ {expression} }}}}") or _error_of("", lambda: _GENERAL.compile_expression(expression))


@cache
def _expression(text: str, environment: _Environment = _GENERAL) -> TemplateExpression:
    return environment.compile_expression(text, undefined_to_none=False)


def evaluate_expression(expression: str, row: Mapping[str, Any]) -> Any:
    """The value of a Jinja expression with the fields of a row.

    Raises:
        UserError: saying what is wrong and, where a field is missing, which ones there are.
    """
    return _evaluated(_expression(expression, _OF_ROWS), row)


def is_true(expression: str, row: Mapping[str, Any]) -> bool:
    """Whether a Jinja expression holds for the fields of a row. What is missing, zero or empty is false.

    Raises:
        UserError: as `evaluate_expression`; and if the truth of a text is asked for.
    """
    return bool(_evaluated(_expression(f"true if ({expression}) else false", _OF_CONDITIONS), row))


def _evaluated(expression: TemplateExpression, row: Mapping[str, Any]) -> Any:
    with _told(row, is_expression=True):
        value = expression(_with_row(row))
        if isinstance(value, Undefined):
            str(value)
        return value


def fill_template(template: str, fields: Mapping[str, Any]) -> str:
    """The text that a template becomes with the given fields.

    Raises:
        UserError: saying what is wrong and, where a field is missing, which ones there are.
    """
    with _told(fields):
        return _compiled(template).render(fields)


def fill_from_row(template: str, row: Mapping[str, Any]) -> Filled:
    """As `fill_template`, with the fields of a row of raw data; `row` is the whole row, unless a field has this name.

    Raises:
        UserError: as `fill_template`; and if a condition is text that spells what is false.
    """
    notes: set[str] = set()
    with _told(row):
        text = _compiled(template, _OF_ROWS).render({**_with_row(row), NOTES: notes})
    return Filled(text, frozenset(notes))


def _with_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"row": row, **row}


class NoNumberError(UserError):
    """An expression has no value because its arithmetic has none, as in a division by zero."""


@contextmanager
def _told(row: Mapping[str, Any], is_expression: bool = False) -> Iterator[None]:
    try:
        with counted_steps():
            yield
    except NoNumberError:
        raise
    # A template is a program of somebody's: it may fail in any way.
    except Exception as error:
        kind = NoNumberError if isinstance(error, ArithmeticError) else UserError
        raise kind(f"{'' if is_expression else _place(error)}{_reason(error, row)}") from None


def _reason(error: Exception, row: Mapping[str, Any]) -> str:
    match error:
        case UndefinedError():
            end = undefined_hint(error.message, map(str, row))
            return f"{error.message}; the row has: {', '.join(map(str, row))}{end}"
        case UserError():
            return str(error)
        case RecursionError():
            return "the template calls itself without an end."
        case MemoryError():
            return "the template makes more than the memory holds."
    return f"{type(error).__name__}: {str(error).rstrip('.')}."


def _place(error: Exception) -> str:
    """The line of a template where it failed, if it has several lines."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
    return f"line {lines[-1]}: " if lines and (lines[-1] or 0) > 1 else ""
