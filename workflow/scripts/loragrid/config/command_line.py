"""The configuration on the command line, looked at before Snakemake, which names neither line nor column of a mistake."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from loragrid.config.spelling import check_files
from loragrid.errors import UserError
from loragrid.runtime.yaml_files import compose_text, slipped_key


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def check_command_line(arguments: Sequence[str]) -> None:
    """Look at the files behind `--configfile` and the values behind `--config`.

    Args:
        arguments: of Snakemake.

    Raises:
        UserError: with one sentence for each mistake.
    """
    files, values = configuration_of(arguments)
    problems = [problem for path in files if (problem := _no_file(path, files))]
    problems += [problem for value in values for problem in _bad_values(value)]
    try:
        # What is no regular file, such as `<(…)`, can be read only once.
        check_files(path for path in files if Path(path).is_file())
    except UserError as error:
        problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def configuration_of(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files behind `--configfile` and the entries behind `--config`, as Snakemake takes them from its arguments."""
    parser = _Parser(add_help=False)
    parser.add_argument("--configfile", "--configfiles", nargs="+", default=[])
    parser.add_argument("--config", "-C", nargs="*", default=[])
    try:
        known, _ = parser.parse_known_args(list(arguments))
    except ValueError:
        # Snakemake says what is wrong with them.
        return [], []
    return known.configfile, known.config


def _no_file(path: str, files: Sequence[str]) -> str | None:
    """Why there is no configuration under a path behind `--configfile`."""
    if Path(path).is_dir():
        return f"--configfile: '{path}' is a folder; expected a YAML file."
    if Path(path).exists():
        return None
    if path != files[0] and re.fullmatch(r"\w+", path):
        first = f"snakemake {path} … --configfile {files[0]}"
        return f"--configfile: there is no file '{path}'; a target stands before the option: {first}."
    near = [one.name for one in sorted(Path(path).parent.glob("*.y*ml"))] if Path(path).parent.is_dir() else []
    return f"--configfile: there is no file '{path}'; {Path(path).parent} has: {', '.join(near) or 'no YAML file'}."


def _bad_values(entry: str) -> Iterator[str]:
    """One sentence for each mistake in an entry behind `--config`."""
    key, sign, value = entry.partition("=")
    if not sign:
        hint = "; a target stands before the option" if re.fullmatch(r"\w+", entry) else ""
        yield f"--config: '{entry}' has no value; expected KEY=VALUE{hint}."
    elif not re.fullmatch(r"[a-zA-Z_][\w-]*\w", key):
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
