"""From validation errors to sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic_core import ErrorDetails

from loragrid.config.root import Config
from loragrid.data.sources import BuiltSource, FileSource, HubDataset, data_kind
from loragrid.errors import nearest
from loragrid.models.sources import HubSource, PackageSource, PathSource, source_kind
from loragrid.scoring.registry import SCORERS
from loragrid.sections import NAME_RULE, Section
from loragrid.training.settings import ContinuedTraining, FullTraining, LoraTraining, PeftTraining, PromptTuning, method_kind

UNIONS: tuple[tuple[Callable[[Any], str], dict[str, type[Section]]], ...] = (
    (source_kind, {"package-source": PackageSource, "hub-source": HubSource, "path-source": PathSource}),
    (data_kind, {"builder-data": BuiltSource, "hub-data": HubDataset, "files-data": FileSource}),
    (
        method_kind,
        {
            "lora-method": LoraTraining,
            "prompt_tuning-method": PromptTuning,
            "peft-method": PeftTraining,
            "continue-method": ContinuedTraining,
            "full-method": FullTraining,
        },
    ),
)
"""Sections of which a configuration takes one, and what tells them apart."""


def _key(location: Iterable[str | int]) -> str:
    """`('grid', 0, 'nb_samples')` as `grid[0].nb_samples`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _section_at(location: tuple[str | int, ...], raw: Any) -> type[Section] | None:
    """The section class that stands at `location`, found by walking the annotations of `Config` beside the values."""
    annotation: Any = Config
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
        elif get_origin(annotation) in (list, dict):
            annotation = get_args(annotation)[-1]
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
        annotation = _choose_member(annotation, raw)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _choose_member(annotation: Any, value: Any) -> Any:
    """The section class among the members of a (tagged) union that `value` is meant for."""
    members = list(_members(annotation))
    if len(members) == 1:
        return members[0]
    sections = [m for m in members if isinstance(m, type) and issubclass(m, Section)]
    for kind_of, by_kind in UNIONS:
        if sections and sections[0] in by_kind.values():
            return by_kind.get(kind_of(value))
    for section in sections:
        for key in ("type", "recipe"):
            field = section.model_fields.get(key)
            if field and isinstance(value, Mapping) and value.get(key) in get_args(field.annotation):
                return section
    return sections[0] if len(sections) == 1 else None


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, which may be nested; of anything else itself."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _without_tags(raw: Any, location: Iterable[str | int]) -> Iterator[str | int]:
    """The keys of a location, without the tags of union members that pydantic puts between them."""
    tags = (
        {tag for _, by_kind in UNIONS for tag in by_kind}
        | set(SCORERS)
        | {"target_only", "fractional", "weighted", "zero_shot", "few_shot", "retrieved", "hf", "vllm", "openai"}
    )
    for part in location:
        if part in tags and not (isinstance(raw, Mapping) and part in raw):
            continue
        yield part
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            raw = None


def sentence_of(raw: Mapping[str, Any], error: ErrorDetails) -> str:
    """One validation error as a sentence that names the key and what was expected."""
    location = tuple(_without_tags(raw, error["loc"]))
    if location and location[-1] == "[key]":
        location = location[:-1]
    key = _key(location)
    if error["type"] == "extra_forbidden":
        section = _section_at(location[:-1], raw)
        return f"{key}: unknown key; {nearest(str(location[-1]), section.model_fields if section else ())}"
    if error["type"] == "missing":
        return f"{key}: this key is required but missing."
    if error["type"] == "string_pattern_mismatch" and str(error["ctx"]["pattern"]).startswith("^[A-Za-z0-9]+("):
        return f"{key}: '{error['input']}' is not a valid name; expected {NAME_RULE}."
    if error["type"] == "union_tag_not_found":
        return f"{key}.{str(error['ctx']['discriminator']).strip(chr(39))}: this key is required but missing."
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        named = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        return f"{named}: '{context['tag']}' is unknown; expected one of {str(context['expected_tags']).replace(chr(39), '')}."
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key}: expected a mapping of keys to values, not {error['input']!r}."
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    value = error["input"]
    return f"{key or 'configuration'}: {message}" + ("" if isinstance(value, dict | list) else f", not {value!r}") + "."


def located(sentence: str, files: Iterable[str | Path]) -> str:
    """Put the configuration file that a sentence of this module is about in front of it.

    Later files are laid over earlier ones: mappings are merged, so that a key comes from the last file that holds most of
    its path; lists are replaced, so that what is in one comes from the last file that holds the list.
    """
    key = sentence.partition(":")[0]
    path = re.findall(r"[^.\[\]]+", key)
    in_list = len(re.findall(r"[^.\[\]]+", key.partition("[")[0])) if "[" in key else len(path)

    def depth(file: str | Path) -> int:
        with open(file, encoding="utf-8") as stream:
            value = yaml.safe_load(stream)
        for found, part in enumerate(path[:in_list]):
            try:
                value = value[part]
            except (KeyError, TypeError):
                return found
        return in_list

    depths = {str(file): depth(file) for file in files}
    deepest = max(depths.values(), default=0)
    return f"{[file for file, found in depths.items() if found == deepest][-1]}: {sentence}" if deepest else sentence
