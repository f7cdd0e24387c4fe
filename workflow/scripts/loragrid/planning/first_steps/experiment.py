"""The job that writes a first experiment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from loragrid.config.load import parse_config
from loragrid.errors import UserError
from loragrid.grid.feasibility import problems
from loragrid.layout import NAME
from loragrid.planning.first_steps.drafts import make_draft
from loragrid.planning.first_steps.settings import Asked
from loragrid.planning.first_steps.tables import read_table
from loragrid.planning.first_steps.texts import as_yaml, on_screen
from loragrid.runtime.files import written_whole
from loragrid.sections import NAME_RULE

FOLDER = Path("config/experiments")

USAGE = "snakemake new --cores 1 --config name=letters data=letters.csv"


def write_experiment(asked: Asked, existing: Mapping[str, Any], config_files: Iterable[str] = ()) -> str:
    """Write an experiment on the examples of a file, and say what was guessed.

    Args:
        existing: the configuration that it is laid over, as YAML gave it.
        config_files: where that stands, for messages.

    Raises:
        UserError: if the name or the file will not do. Nothing is written then, and never over a file that is there.
    """
    name, path = _name(asked, existing, config_files)
    if not asked.data:
        raise UserError(f"new: no data is named; expected {USAGE}")
    draft = make_draft(name, read_table(asked.data), existing)
    text = as_yaml(draft, path)
    _check(text, existing, config_files)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return on_screen(draft, path)


def _name(asked: Asked, existing: Mapping[str, Any], config_files: Iterable[str]) -> tuple[str, Path]:
    """The experiment's name, and its file."""
    if not asked.name:
        raise UserError(f"new: no name is given; expected {USAGE}")
    if not re.fullmatch(NAME, asked.name) or len(asked.name) > 40:
        raise UserError(f"new: name '{asked.name}' is not valid; expected {NAME_RULE}, up to 40 characters.")
    path = FOLDER / f"{asked.name}.yaml"
    # A file system may not tell large and small letters apart.
    taken = [file for file in FOLDER.glob("*.y*ml") if file.stem.casefold() == asked.name.casefold()]
    if taken:
        raise UserError(f"new: {taken[0].as_posix()} is there already, and stays as it is; choose another name, or delete it.")
    for section in ("tasks", "sources"):
        if asked.name in (existing.get(section) or {}):
            where = " or ".join(config_files) or "the configuration"
            raise UserError(f"new: {where} has '{asked.name}' among its {section} already; choose another name.")
    return asked.name, path


def _check(text: str, existing: Mapping[str, Any], config_files: Iterable[str]) -> None:
    """Make sure that the experiment is valid where it is laid over the configuration."""
    merged = deepcopy(dict(existing))
    update_config(merged, yaml.safe_load(text))
    try:
        if found := problems(parse_config(merged)):
            raise UserError("\n".join(found))
    except UserError as error:
        where = " and ".join(config_files) or "the configuration"
        raise UserError(f"new: the experiment does not fit on top of {where}: {error}") from None
