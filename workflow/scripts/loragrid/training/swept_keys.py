"""Which keys of a section may have several values, whether each of these is valid, and what the JSON schema says of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ModelWrapValidatorHandler, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, PydanticKnownError

from loragrid.errors import nearest
from loragrid.sections import SENTENCE, Section, is_only_speed
from loragrid.training.sweeps import Sweep, Value, setting_name

S = TypeVar("S", bound=Section)

NOT_SWEPT = {"method": "a config has one method; list another config for another one.", "sweep": "a sweep has none inside."}
"""Keys with one value, and why."""

Place = tuple[str | int, ...]
"""Keys and places in lists, from a section to a value."""

VALUES = "several values"
"""The title of the list of values of a key in the JSON schema."""


def valid_settings(section: type[S], given: Mapping[str, Any], validate: ModelWrapValidatorHandler[S]) -> S:
    """The first setting of a config with ranges, which it keeps. A config without ranges is validated as it is.

    Raises:
        ValidationError: if a range or one of the settings is not valid, with the place where a user has written it.
    """
    singles = one_value(section)
    listed = {key: value for key, value in given.items() if isinstance(value, list) and key in singles}
    if given.get("sweep") is None and not listed:
        return validate(given)
    sweep = _sweep_of(section, given, listed)
    fixed = {key: value for key, value in given.items() if key not in (*sweep.ranges, "sweep")}
    found: list[S] = []
    names: dict[str, dict[str, Any]] = {}
    problems: dict[tuple[Place, str], InitErrorDetails] = {}
    for values in sweep.settings():
        if several := [one for one in values if isinstance(one.value, list) and one.key in singles]:
            place = _as_written((several[0].key,), values, listed)
            raise _refused(section, place, f"expected one value, not the list {several[0].value}.", given)
        try:
            # With all validators of the section, also those that stand around this one.
            setting = section.model_validate(fixed | {key: value for key, value, _ in values})
        except ValidationError as error:
            for details in error.errors():
                place = _as_written(details["loc"], values, listed)
                problems.setdefault((place, details["msg"]), _again(details, place, values))
            continue
        found.append(setting)
        told = {key: getattr(setting, key) for key, *_ in values}
        if (other := names.setdefault(setting_name("", told), told)) != told:
            raise _refused(section, ("sweep",), f"{told} and {other} would have the same name.", given)
    if problems:
        raise ValidationError.from_exception_data(section.__name__, list(problems.values()))
    return found[0].model_copy(update={"sweep": sweep})


def _sweep_of(section: type[Section], given: Mapping[str, Any], listed: Mapping[str, list[Any]]) -> Sweep:
    """What is swept: the section of this name, and lists that stand at keys themselves."""
    of_section = given.get("sweep") or {}
    if isinstance(of_section, Mapping):
        for key in of_section:
            if key in Sweep.model_fields:
                continue
            if key in listed:
                raise _refused(section, ("sweep", key), f"'{key}' has a list of values outside of sweep already.", of_section)
            if why := _why_not(section, str(key)):
                raise _refused(section, ("sweep", key), why, of_section)
        of_section = {**of_section, **listed}
    try:
        return Sweep.model_validate(of_section)
    except ValidationError as error:
        raise _of_sweep(error, section, ("sweep",) if "sweep" in given else (), listed) from None


def one_value(section: type[Section]) -> set[str]:
    """The keys of a section that may be swept and whose value is never a list."""
    return {
        key for key, field in section.model_fields.items() if not _why_not(section, key) and not _takes_list(field.annotation)
    }


def _why_not(section: type[Section], key: str) -> str:
    """Why a key cannot be swept; empty if it can."""
    if key in NOT_SWEPT:
        return f"'{key}' cannot have several values: {NOT_SWEPT[key]}"
    known = [name for name in section.model_fields if name not in NOT_SWEPT]
    if key not in known:
        return f"unknown key; {nearest(key, [*known, *Sweep.model_fields])}"
    if is_only_speed(section, key):
        return f"'{key}' cannot have several values: results do not depend on it."
    return ""


def _takes_list(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return any(map(_takes_list, get_args(annotation)))
    return get_origin(annotation) is list or annotation is list


def _as_written(place: Place, values: Iterable[Value], listed: Mapping[str, Any]) -> Place:
    """The place of a value in a setting, as it stands in the config."""
    for value in values:
        if place[:1] == (value.key,):
            in_list = () if value.place is None else (value.place,)
            return (*(() if value.key in listed else ("sweep",)), value.key, *in_list, *place[1:])
    return place


def _again(details: ErrorDetails, place: Place, values: Iterable[Value]) -> InitErrorDetails:
    """An error at another place. One about a whole setting names it."""
    told = details.get("ctx", {})
    error: Any = details["type"]
    try:
        PydanticKnownError(error, told or None)
    except (KeyError, TypeError):
        # One of our own, or of a union.
        error = PydanticCustomError(error, "{said}", {**told, "said": details["msg"]})
    if not details["loc"] and (setting := ", ".join(f"{key} {value}" for key, value, _ in values)):
        said = details["msg"].removeprefix("Value error, ")
        error = PydanticCustomError("setting", "{said} (in the setting with {setting})", {"said": said, "setting": setting})
    return InitErrorDetails(type=error, loc=place, input=details["input"], ctx=told)


def _of_sweep(error: ValidationError, section: type[Section], above: Place, listed: Mapping[str, Any]) -> ValidationError:
    """The errors of what is swept at their places in the config.

    Args:
        above: the place of what is no list at a key itself.
    """
    errors = [
        _again(details, place if place and place[0] in listed else (*above, *place), ())
        for details in error.errors()
        for place in [details["loc"]]
    ]
    return ValidationError.from_exception_data(section.__name__, errors)


def _refused(section: type[Section], place: Place, why: str, given: Any) -> ValidationError:
    error = PydanticCustomError(SENTENCE, "{why}", {"why": why})
    return ValidationError.from_exception_data(section.__name__, [InitErrorDetails(type=error, loc=place, input=given)])


def allow_lists(section: type[Section], properties: dict[str, dict[str, Any]]) -> None:
    """Have the JSON schema of a section allow a list of values at each key that may have several and otherwise takes no list."""
    for key in one_value(section):
        told = properties[key]
        about: dict[str, Any] = {name: told.pop(name) for name in ("title", "description", "default") if name in told}
        options = told.pop("anyOf", None) or [dict(told)]
        items = {"anyOf": options} if len(options) > 1 else options[0]
        listed = {"type": "array", "items": items, "minItems": 1, "title": VALUES}
        properties[key] = {"anyOf": [*options, listed], **about}
