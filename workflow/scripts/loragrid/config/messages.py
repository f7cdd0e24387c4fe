"""From validation errors to sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from loragrid.config.root import Config
from loragrid.errors import nearest
from loragrid.sections import NAME_RULE, SENTENCE, OneOf, Section, tag_of


def key_at(location: Iterable[str | int]) -> tuple[str, Collection[str]]:
    """The key at the location of an error, as a user writes it, and the keys that are allowed below it.

    The location is followed through the types of `Config`. If a value may be one of several sections, pydantic has put a tag
    into the location. The tag is no key: it tells for which section the value was taken.
    """
    key, annotation = "", Config  # type: str, Any
    for part in location:
        sections = dict(_sections(annotation))
        if len(sections) > 1 and part in sections:
            annotation = sections[str(part)]
            continue
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
        annotation = _type_below(annotation, part)
    sections = dict(_sections(annotation))
    below = next(iter(sections.values())).model_fields if len(sections) == 1 else ()
    return key.removeprefix("."), below


def _sections(annotation: Any, by: str | None = None) -> Iterator[tuple[str, type[Section]]]:
    """The sections that a type allows, with the tags by which pydantic tells them apart."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, OneOf):
                yield from mark.members(inner).items()
                return
            if isinstance(mark, FieldInfo) and isinstance(mark.discriminator, str):
                by = mark.discriminator
        yield from _sections(inner, by)
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _sections(member, by)
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        yield tag_of(annotation, by), annotation


def _type_below(annotation: Any, part: str | int) -> Any:
    """The type of the value under a key of a section, or in a list or mapping; None if it is unknown."""
    for _, section in _sections(annotation):
        field = section.model_fields.get(str(part))
        if field is None and section.model_config.get("extra") == "allow":
            return get_args(get_type_hints(section, include_extras=True)["__pydantic_extra__"])[1]
        return field and Annotated[field.annotation, field, *field.metadata]
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_args(annotation)[-1] if get_origin(annotation) in (list, dict) else None


def sentence_of(error: ErrorDetails) -> str:
    """One validation error as a sentence that names the key and what was expected."""
    *above, last = error["loc"] or ("",)
    key, _ = key_at(above if last == "[key]" else error["loc"])
    type_, value, context = error["type"], error["input"], error.get("ctx", {})
    if type_ == SENTENCE:
        return f"{key}: {error['msg']}"
    if type_ == "extra_forbidden":
        return f"{key}: unknown key; {nearest(str(last), key_at(above)[1])}"
    if type_ == "missing":
        return f"{key}: this key is required but missing."
    if type_ == "string_pattern_mismatch" and str(context["pattern"]).startswith("^[A-Za-z0-9]+("):
        # Letters of other scripts may look like these.
        odd = next((sign for sign in str(value) if sign.isalnum() and not sign.isascii()), None)
        hint = f"; '{odd}' ({unicodedata.name(odd, f'U+{ord(odd):04X}').lower()}) is none of a to z and 0 to 9" if odd else ""
        return f"{key}: '{value}' is not a valid name; expected {NAME_RULE}{hint}."
    if type_ == "string_type" and (kind := _no_text(value)):
        return f"{key}: expected text, not {kind}; put it in quotes if it is text."
    if type_ in ("model_type", "model_attributes_type", "dict_type"):
        slip = re.fullmatch(r"(?s)([\w.-]+):(\S.*)", value) if isinstance(value, str) else None
        hint = f"; a space is missing behind the colon: {slip[1]}: {_shown(slip[2])}" if slip else ""
        return f"{key}: expected a mapping of keys to values, not {_shown(repr(value))}{hint}."
    if type_ == "list_type" and isinstance(value, str) and re.match(r"-\S", value):
        return f"{key}: expected a list, not {_shown(repr(value))}; a space is missing behind the dash."
    if type_.startswith("unknown_") and isinstance(value, Mapping) and (field := type_.removeprefix("unknown_")) in value:
        known = error["msg"].partition("must be one of ")[2]
        return f"{key}.{field}: '{value[field]}' is unknown; expected one of {known}{_likely(value[field], known.split(', '))}"
    if type_ in ("union_tag_not_found", "union_tag_invalid"):
        named = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        if type_ == "union_tag_not_found":
            return f"{named}: this key is required but missing."
        expected = str(context["expected_tags"]).replace(chr(39), "")
        return (
            f"{named}: '{context['tag']}' is unknown; expected one of {expected}{_likely(context['tag'], expected.split(', '))}"
        )
    if type_ == "too_short" and not value and context["min_length"] == 1:
        return f"{key}: expected at least one entry."
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    # Some sentences begin with the value.
    found = "" if isinstance(value, dict | list) or message.startswith(repr(value)) else f", not {_shown(repr(value))}"
    likely = _likely(value, re.findall(r"'([^']*)'", context["expected"])) if type_ == "literal_error" else "."
    return f"{key or 'configuration'}: {message}{found}{likely}"


def _likely(value: object, known: Iterable[str]) -> str:
    """A hint at the known value that is most like a text; else the end of the sentence."""
    match = get_close_matches(str(value), list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else "."


def _shown(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _no_text(value: Any) -> str | None:
    """What YAML takes a text for that is no number; None if it is something else."""
    if isinstance(value, bool):
        return f"{str(value).lower()}, as YAML reads {'yes and on' if value else 'no and off'}"
    return f"the date {value}" if isinstance(value, date) else None


def located(sentence: str, files: Iterable[str | Path], given: Mapping[str, Any] | None = None) -> str:
    """Put the configuration file that a sentence of this module is about in front of the sentence.

    Later files are laid over earlier ones. Mappings are merged: a key comes from the last file that holds most of its path.
    Lists are replaced: an item comes from the last file that holds the list.

    Args:
        given: what stands behind `--config`, which is laid over the files.
    """
    key = sentence.partition(":")[0]
    path = re.findall(r"[^.\[\]]+", key)
    in_list = len(re.findall(r"[^.\[\]]+", key.partition("[")[0])) if "[" in key else len(path)

    def depth(value: Any) -> int:
        for steps, part in enumerate(path[:in_list]):
            try:
                value = value[part]
            except (KeyError, TypeError):
                return steps
        return in_list

    values = {str(file): yaml.safe_load(Path(file).read_bytes()) for file in files} | ({"--config": given} if given else {})
    depths = {file: depth(value) for file, value in values.items()}
    deepest = max(depths.values(), default=0)
    return f"{[file for file, steps in depths.items() if steps == deepest][-1]}: {sentence}" if deepest else sentence
