"""YAML that people write: what is wrong with a file, with line and column.

PyYAML reads YAML 1.1. What people know is YAML 1.2, in which fewer texts are something else than text. A text that the two read
in different ways is refused where that matters, and so is a key that stands twice: PyYAML would silently take the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from loragrid.errors import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


HINTS = {
    "mapping values are not allowed": "text with ': ' in it needs quotes",
    "cannot start any token": "indent with spaces, and put text that begins with such a sign in quotes",
    "expected key": "look at the indentation; a text in quotes must end with them",
    "expected ',' or": "a bracket or brace is not closed, or a text in them needs quotes",
    "undefined alias": "text that begins with * needs quotes",
}
"""What to do, by what PyYAML says."""


def compose(path: str | Path) -> yaml.Node | None:
    """The nodes of a YAML file, which know their places; None if it is empty.

    Raises:
        UserError: naming file, line and column of what is no YAML.
    """
    content = Path(path).read_bytes()
    if _is_json(content):
        # A tab is white space in JSON, and nothing in YAML.
        content = content.replace(b"\t", b" ")
    try:
        return yaml.compose(content, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        raise UserError(_told(path, error)) from None
    except yaml.reader.ReaderError as error:
        line = content[: error.position].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not valid YAML ({error.reason}).") from None


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _told(path: str | Path, error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be read"
    hint = next((f"; {hint}" for said, hint in HINTS.items() if said in problem), "")
    mark = error.problem_mark or error.context_mark
    where = "" if mark is None else f", {place(mark)}"
    return f"{path}{where}: not valid YAML ({problem}){hint}."


def place(mark: yaml.Mark) -> str:
    """Line and column, as an editor counts them."""
    return f"line {mark.line + 1}, column {mark.column + 1}"


def load_yaml(path: str | Path) -> Any:
    """The value of a YAML file.

    Raises:
        UserError: with one sentence for each mistake.
    """
    node = compose(path)
    if problems := list(mistakes(path, node)):
        raise UserError("\n".join(problems))
    return None if node is None else value_of(node)


def value_of(node: yaml.Node) -> Any:
    """The value of a node, as PyYAML reads it. Raises what PyYAML raises, and ValueError for a date that does not exist."""
    return LOADER("").construct_document(node)


def mistakes(path: str | Path, node: yaml.Node | None) -> Iterator[str]:
    """One sentence for each key that stands twice, and each text that PyYAML reads in another way than it looks."""
    if node is None:
        return
    for mark, problem in _mistakes(node, set()):
        yield f"{path}, {place(mark)}: {problem}"


def _mistakes(node: yaml.Node, met: set[int]) -> Iterator[tuple[yaml.Mark, str]]:
    # An alias brings the same node once more, perhaps within itself.
    if id(node) in met:
        return
    met.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _mistaken_keys(node)
        for _, value in node.value:
            yield from _mistakes(value, met)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mistakes(item, met)
    elif problem := _misread_value(node):
        yield node.start_mark, problem


def _mistaken_keys(node: yaml.MappingNode) -> Iterator[tuple[yaml.Mark, str]]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield key.start_mark, "a key must be text; text that begins with {{ or [ needs quotes."
        elif key.tag.endswith(":merge"):
            continue
        elif key.value in lines:
            yield (
                key.start_mark,
                f"the key '{key.value}' stands in line {lines[key.value]} already; expected each key once.",
            )
        elif problem := _misread_value(key) or _misread_name(key):
            yield key.start_mark, problem
        if isinstance(key, yaml.ScalarNode):
            lines.setdefault(key.value, key.start_mark.line + 1)


def _misread_value(node: yaml.Node) -> str | None:
    """What is wrong with a scalar that no number or text is meant to look like."""
    if node.tag == yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG:
        return None
    try:
        value = value_of(node)
    except yaml.YAMLError as error:
        return f"not valid YAML ({getattr(error, 'problem', error)})."
    except ValueError as error:
        return f"'{node.value}' is no date ({error}); put it in quotes if it is text."
    if not is_number(node):
        return None
    if ":" in node.value:
        return f"YAML reads {node.value} as {value}, a number of base 60; write the number, or put it in quotes if it is text."
    decimal = re.fullmatch(r"([-+]?)0+([0-9_]*)", node.value)
    if decimal and value != int(f"{decimal[1]}{decimal[2].replace('_', '') or 0}"):
        number = f"{decimal[1]}{decimal[2]}"
        return f"YAML reads {node.value} as the octal number {value}; write {number}, or put it in quotes if it is text."
    return None


def is_number(node: yaml.Node) -> bool:
    """Whether a scalar is read as a number."""
    return isinstance(node, yaml.ScalarNode) and node.tag.rpartition(":")[2] in ("int", "float")


def misread_text(node: yaml.Node) -> str | None:
    """The text that a number becomes where text is expected, if it is another one than that of the file."""
    return str(value_of(node)) if is_number(node) and str(value_of(node)) != node.value else None


def _misread_name(node: yaml.ScalarNode) -> str | None:
    kind = node.tag.rpartition(":")[2]
    if (other := misread_text(node)) is not None:
        return f"YAML reads the name {node.value} as {other}; put it in quotes."
    named = {"bool": "true or false", "null": "nothing", "timestamp": "a date"}.get(kind)
    return f"YAML reads the name {node.value} as {named}; put it in quotes." if named else None
