"""What was typed, checked before Snakemake acts on it. The profile `default` calls this: nothing else of ours is read earlier."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from loragrid.config.spelling import check_files
from loragrid.errors import UserError, printable
from loragrid.runtime.commands import check_command, config_files, given_settings
from loragrid.runtime.yaml_files import compose_text, slipped_key


def check_given(arguments: Sequence[str]) -> None:
    """End the process with a sentence if a command names what is no configuration file, or one with a slip, or such a setting.

    Args:
        arguments: without the program.
    """
    try:
        check_command(arguments)
        check_files(path for path in config_files(arguments) if Path(path).is_file())
        if problems := [problem for setting in given_settings(arguments) for problem in _slips(setting)]:
            raise UserError("\n".join(problems))
    except UserError as error:
        sys.exit(printable(str(error)))


def _slips(setting: str) -> Iterator[str]:
    """One sentence for each mistake in a setting behind `--config`."""
    key, _, value = setting.partition("=")
    if not re.fullmatch(r"[a-zA-Z_][\w-]*\w", key):
        outer, *inner = key.split(".")
        written = f"{outer}={''.join(f'{{{one}: ' for one in inner)}{value}{'}' * len(inner)}"
        hint = f"; a key inside of another is written --config '{written}'" if inner else ""
        yield f"--config: '{key}' is no key of the configuration{hint}."
    elif value[:1] in ("{", "["):
        try:
            node = compose_text(f"--config {key}", value)
        except UserError as error:
            yield str(error)
        else:
            yield from _without_space(key, node)


def _without_space(key: str, node: yaml.Node | None) -> Iterator[str]:
    """One sentence for each `a:1` in a value, which is no key with a value."""
    if isinstance(node, yaml.MappingNode):
        for name, inner in node.value:
            if isinstance(name, yaml.ScalarNode) and (problem := slipped_key(name, inner)):
                yield f"--config {key}: {problem}"
            yield from _without_space(key, inner)
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            yield from _without_space(key, inner)
