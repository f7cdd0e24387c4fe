"""YAML that people write: what is wrong with a file, with line and column.

PyYAML reads YAML 1.1. What people know is YAML 1.2, in which fewer texts are something else than text. A text that the two read
in different ways is refused where that matters, and so is a key that stands twice: PyYAML would silently take the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from loragrid.errors import UserError
from loragrid.runtime.yaml_hints import place_and_hint

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


LARGEST = 10_000_000
"""Bytes of the largest file that is read. Nobody writes a larger one by hand."""

DEEPEST = 100
"""How many mappings and lists may stand within each other."""

MOST_VALUES = 1_000_000
"""How many values a file may have once each alias is replaced by what it stands for."""


def compose(path: str | Path) -> yaml.Node | None:
    """The nodes of a YAML file, which know their places; None if it is empty.

    Raises:
        UserError: naming file, line and column of what is no YAML, and of what is too deep or too much.
    """
    return compose_text(str(path), _text_of(path))


def _text_of(path: str | Path) -> str:
    """The text of a file.

    Raises:
        UserError: if there is no such file, or its text is not UTF-8.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: this is a folder; expected a YAML file.")
    content = path.read_bytes() if path.stat().st_size <= LARGEST else b""
    if not content and path.stat().st_size:
        raise UserError(f"{path}: the file has {path.stat().st_size:,} bytes; expected at most {LARGEST:,}.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:4]:
        raise UserError(f"{path}: the file is UTF-16 or UTF-32; save it as UTF-8.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        word = re.search(r"\S*$", before)
        after = content[error.start :].decode("cp1252", errors="replace").split()[0]
        read = f"as Windows-1252 it would be '{word[0] if word else ''}{after}'"
        raise UserError(f"{path}, line {line}, column {column}: the text is not UTF-8 ({read}); save it as UTF-8.") from None


def compose_text(name: str, text: str) -> yaml.Node | None:
    """The nodes of a YAML text.

    Args:
        name: how sentences name where it comes from.

    Raises:
        UserError: as `compose`.
    """
    if _is_json(text):
        # A tab is white space in JSON, and nothing in YAML.
        text = text.replace("\t", " ")
    try:
        for mark, problem in _excesses(yaml.parse(text, Loader=LOADER)):
            raise UserError(f"{name}, {place(mark)}: {problem}")
        return yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        raise UserError(_told(name, error, text.splitlines())) from None
    except yaml.reader.ReaderError as error:
        # The position counts characters of a text, or bytes as the parser in C sees them.
        line = _odd_line(text)
        raise UserError(f"{name}, line {line}: not valid YAML ({error.reason}).") from None


def _odd_line(text: str) -> int:
    """The first line with a character that YAML forbids."""
    odd = yaml.reader.Reader.NON_PRINTABLE.search(text)
    return text.count("\n", 0, odd.start() if odd else 0) + 1


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _excesses(events: Iterable[Any]) -> Iterator[tuple[Any, str]]:
    """What would need more memory or time than there is: endless nesting, aliases of aliases. And lost signs."""
    sizes: dict[str, int] = {}
    empty: dict[str, Any] = {}
    open_: list[tuple[str | None, int]] = []
    size = 0
    for event in events:
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == name for name, _ in open_):
                yield event.start_mark, f"the alias *{anchor} stands within what it stands for; expected values that end."
            size += sizes.get(anchor or "", 1)
            empty.pop(anchor or "", None)
        elif isinstance(event, yaml.ScalarEvent):
            size += 1
            sizes[anchor or ""] = 1
            if anchor and not event.value and not event.style:
                empty[anchor] = event.start_mark
            if event.tag == "!":
                yield event.start_mark, "YAML leaves out the sign ! here; text that begins with ! needs quotes."
        elif isinstance(event, yaml.CollectionStartEvent):
            open_.append((anchor, size))
            size += 1
            if len(open_) > DEEPEST:
                yield event.start_mark, f"more than {DEEPEST} lists and mappings within each other; expected fewer."
        elif isinstance(event, yaml.CollectionEndEvent):
            name, before = open_.pop()
            sizes[name or ""] = size - before
        if size > MOST_VALUES:
            yield event.start_mark, f"with its aliases replaced, the file has over {MOST_VALUES:,} values; expected fewer."
    for name, mark in empty.items():
        yield mark, f"YAML takes &{name} for a mark of what follows, and nothing does; text that begins with & needs quotes."


def _told(name: str, error: yaml.MarkedYAMLError, lines: Sequence[str]) -> str:
    mark, hint = place_and_hint(error, lines)
    where = "" if mark is None else f", {place(mark)}"
    return f"{name}{where}: not valid YAML ({error.problem or 'it cannot be read'}){f'; {hint}' if hint else ''}."


def place(mark: yaml.Mark) -> str:
    """Line and column, as an editor counts them."""
    return f"line {mark.line + 1}, column {mark.column + 1}"


def load_yaml(path: str | Path) -> Any:
    """The value of a YAML file.

    Raises:
        UserError: with one sentence for each mistake.
    """
    node = checked(path)
    try:
        return None if node is None else value_of(node)
    except yaml.MarkedYAMLError as error:
        raise UserError(_told(str(path), error, ())) from None


def checked(path: str | Path) -> yaml.Node | None:
    """The nodes of a YAML file that is read as it looks; None if it is empty.

    Raises:
        UserError: as `compose`; with one sentence for each key that stands twice, and each text that PyYAML reads in another way
            than it looks.
    """
    text = _text_of(path)
    node = compose_text(str(path), text)
    found = () if node is None else _mistakes(node, set(), text.splitlines())
    if problems := [f"{path}, {place(mark)}: {problem}" for mark, problem in found]:
        raise UserError("\n".join(problems))
    return node


def value_of(node: yaml.Node) -> Any:
    """The value of a node, as PyYAML reads it. Raises what PyYAML raises, and ValueError for a date that does not exist."""
    return LOADER("").construct_document(node)


def _mistakes(node: yaml.Node, met: set[int], lines: Sequence[str]) -> Iterator[tuple[yaml.Mark, str]]:
    # An alias brings the same node once more, perhaps within itself.
    if id(node) in met:
        return
    met.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if problem := _misread_value(node) or _cut_by_comment(node, lines):
            yield node.start_mark, problem
        return
    if node.tag.startswith("!") or "python" in node.tag:
        yield node.start_mark, f"the tag {node.tag} is unknown; text that begins with ! needs quotes."
    elif isinstance(node, yaml.MappingNode):
        yield from _mistaken_keys(node)
        for _, value in node.value:
            yield from _mistakes(value, met, lines)
    else:
        for item in node.value:
            yield from _mistakes(item, met, lines)


def _cut_by_comment(node: yaml.ScalarNode, lines: Sequence[str]) -> str | None:
    """Text of several words that ends at a sign of numbers, as in `Answer question #3`. Comments have a space behind the sign."""
    if node.style or " " not in node.value or node.end_mark.line >= len(lines):
        return None
    comment = re.match(r"\s+(#\w+)", lines[node.end_mark.line][node.end_mark.column :])
    if comment is None:
        return None
    return (
        f"YAML takes {comment[1]} and what follows for a comment; put the text in quotes. A comment has a space behind its sign."
    )


def _mistaken_keys(node: yaml.MappingNode) -> Iterator[tuple[yaml.Mark, str]]:
    lines: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield key.start_mark, "a key must be text; text that begins with {{ or [ needs quotes."
        elif problem := slipped_key(key, value):
            yield key.start_mark, problem
        elif key.tag.endswith(":merge"):
            if isinstance(value, yaml.ScalarNode):
                yield value.start_mark, f"<< takes in a mapping, as in <<: *name; found '{value.value}'."
        elif key.value in lines:
            yield (
                key.start_mark,
                f"the key '{key.value}' stands in line {lines[key.value]} already; expected each key once.",
            )
        elif problem := _misread_value(key) or _misread_name(key):
            yield key.start_mark, problem
        if isinstance(key, yaml.ScalarNode):
            lines.setdefault(key.value, key.start_mark.line + 1)


def slipped_key(key: yaml.ScalarNode, value: yaml.Node) -> str | None:
    """What is wrong with a key that is no key as it was meant."""
    if key.style:
        return None
    if re.match(r"[\u201c-\u201f\u2018-\u201b\u00ab]", key.value):
        return f'the key {key.value} stands in typographic quotes, which YAML takes for letters; write " or leave them out.'
    if "\u00a0" in key.value:
        return f"the key {key.value.strip()!r} has a no-break space (U+00A0) beside it; write a usual space."
    slip = re.fullmatch(r"([\w.-]+):([^\s/].*)", key.value)
    if slip is None or value.start_mark.index != value.end_mark.index:
        return None
    return f"a space is missing behind the colon; write {slip[1]}: {slip[2]}."


_LONGEST_NUMBER = 100
"""Digits. Python itself refuses numbers of over 4,300 digits."""


def _misread_value(node: yaml.ScalarNode) -> str | None:
    """What is wrong with a scalar that no number or text is meant to look like."""
    if node.tag == yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG:
        lost = re.match(r"[\w.-]+:\u00a0", "" if node.style else node.value)
        return "a no-break space (U+00A0) stands behind the colon; write a usual space." if lost else None
    if is_number(node) and len(node.value) > _LONGEST_NUMBER:
        return f"a number of {len(node.value)} digits; put it in quotes if it is text."
    try:
        value = value_of(node)
    except yaml.YAMLError as error:
        hint = "; text that begins with ! needs quotes" if node.tag.startswith("!") else ""
        return f"not valid YAML ({getattr(error, 'problem', error)}){hint}."
    except ValueError as error:
        expected = {"int": "whole number", "float": "number"}.get(node.tag.rpartition(":")[2], "date")
        return f"'{node.value}' is no {expected} ({error}); put it in quotes if it is text."
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
