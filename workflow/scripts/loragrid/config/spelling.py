"""How names and texts are spelled: in the files of the configuration, and among each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml

from loragrid.config.root import Config
from loragrid.errors import UserError
from loragrid.runtime.yaml_files import checked, compose, misread_text, place
from loragrid.sections import Name, Section


def check_files(paths: Iterable[str | Path]) -> None:
    """Read the files of the configuration as people read them.

    Raises:
        UserError: with one sentence for each mistake, naming file, line and column.
    """
    problems: list[str] = []
    for path in paths:
        try:
            node = checked(path)
            if not isinstance(node, yaml.MappingNode):
                kind = "nothing" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "text"
                problems.append(f"{path}: expected keys with values at the top of the file, found {kind}.")
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def misspelled_texts(config: Config, paths: Iterable[str | Path]) -> Iterator[str]:
    """One sentence for each text of the configuration that YAML took for a number, so that it became another text: 1.50."""
    for path in paths:
        node = compose(path)
        for scalar, text in _misread(node, config) if node else ():
            yield f"{path}, {place(scalar.start_mark)}: YAML reads {scalar.value} as {text}; put it in quotes."


def _misread(node: yaml.Node, value: Any) -> Iterator[tuple[yaml.Node, str]]:
    """The scalars in a node that are other texts in the configuration's value than in the file."""
    if isinstance(node, yaml.MappingNode):
        fields = dict(value) if isinstance(value, Section | Mapping) else {}
        by_name = {str(name): inner for name, inner in fields.items()}
        for key, inner in node.value:
            if key.value in by_name:
                yield from _misread(inner, by_name[key.value])
    elif isinstance(node, yaml.SequenceNode):
        if isinstance(value, list) and len(value) == len(node.value):
            for item, inner in zip(node.value, value, strict=True):
                yield from _misread(item, inner)
    # Another file may have replaced the value.
    elif isinstance(value, str) and value == misread_text(node):
        yield node, value


def names_alike(section: Section, where: str = "") -> Iterator[str]:
    """One sentence for each two names that differ only in case. Some file systems give their results the same place."""
    # Sections may hold keys besides their fields.
    for field, told in type(section).model_fields.items():
        key, value = f"{where}.{field}".removeprefix("."), getattr(section, field)
        if isinstance(value, Section):
            yield from names_alike(value, key)
        if get_args(told.annotation)[:1] != (Name,):
            continue
        yield from (
            f"{key}.{name}: '{other}' is the same name but for case; choose another." for name, other in alike(value or ())
        )
        if isinstance(value, Mapping):
            for name, inner in value.items():
                yield from names_alike(inner, f"{key}.{name}") if isinstance(inner, Section) else ()


def alike(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each name that differs from an earlier one only in case, and the earlier one."""
    met: dict[str, str] = {}
    for name in names:
        if (other := met.setdefault(name.casefold(), name)) != name:
            yield name, other
