"""What the sections of the configuration are built of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, StringConstraints, Tag
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_before_validator_function

from loragrid.layout import NAME

# Names become folder names and parts of run names. Two underscores join the parts of a run's name.
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]


NAME_RULE = "letters and digits, with single '.', '_' or '-' between them"


EnvironmentVariable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


PythonFunction = Annotated[str, StringConstraints(pattern=r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$")]


_INNER = ("schema", "items_schema", "values_schema")


def _refuse_truth_for_numbers(schema: Any) -> None:
    """Have numbers in a section not take true and false, which Python takes for 1 and 0. Sections inside have done so before."""
    if schema["type"] in ("int", "float"):
        number = schema.copy()
        schema.clear()
        schema |= no_info_before_validator_function(_no_truth, number)
    elif schema["type"] == "model-fields":
        for field in schema["fields"].values():
            _refuse_truth_for_numbers(field["schema"])
    elif schema["type"] not in ("union", "function-before"):
        # The keys of a mapping are no such case: they are checked while the file is read.
        for inner in (schema[key] for key in _INNER if isinstance(schema.get(key), dict)):
            if schema["type"] != "model" or inner["type"] == "model-fields":
                _refuse_truth_for_numbers(inner)


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number (yes, no, on and off mean true and false in YAML)")
    return value


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change after loading."""

    # Names may be written as numbers.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    told_by: ClassVar[str | None] = None
    """The key by which a value is recognised as this section, among others of the same base (`OneOf`)."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _refuse_truth_for_numbers(schema)
        return schema


S = TypeVar("S", bound=Section)

SENTENCE = "sentence"
"""The type of a validation error whose message is all that is to be said, behind the key."""


class StageSettings(Section):
    """What the jobs of a stage are told: its rule's parameters, read by `model_validate(dict(snakemake.params))`."""

    version: int = Field(
        description="Version of the stage. With a higher version, its results and all that depends on them are made again."
    )


class _OnlySpeed:
    """The type of `ONLY_SPEED`."""


ONLY_SPEED = _OnlySpeed()
"""Marks a field that no result depends on. It says how fast, how patiently, where or for how much money something is computed.

Such a field has a default: `field: Annotated[int, ONLY_SPEED] = Field(1, …)`. It is no parameter of a rule, so that changing it
makes no result outdated. A rule is told `decisive(section)`. The rule's script takes the marked fields from the configuration,
by `with_speed`.
"""


class _Later:
    """The type of `LATER`."""


LATER = _Later()
"""Marks a field that came later than results whose params lack it. At its default it is no parameter: these results stay valid.

Such a field has a default that means what was done before: `field: Annotated[bool, LATER] = Field(False, …)`. It stands in a
section inside a stage's settings: a field of the stage's settings themselves is always a parameter.
"""


def _is_marked(section: type[Section], field: str, kind: type = _OnlySpeed) -> bool:
    return any(isinstance(mark, kind) for mark in section.model_fields[field].metadata)


def is_only_speed(section: type[Section], field: str) -> bool:
    """Whether no result depends on a field of a section."""
    return _is_marked(section, field)


def decisive(section: Section) -> dict[str, Any]:
    """A section as plain data, without what makes no result outdated. The sections inside lack that too.

    Left out are the fields that are marked with `ONLY_SPEED`, and those marked with `LATER` that have their default.
    """
    return section.model_dump(exclude=_harmless_fields(section))


def _harmless_fields(value: Any) -> dict[Any, Any]:
    """The fields in a value that make no result outdated, in the form that `model_dump` takes as `exclude`."""
    if isinstance(value, Section):
        harmless = {field: True for field, inner in value if _is_harmless(type(value), field, inner)}
        return {field: of_inner for field, inner in value if (of_inner := _harmless_fields(inner))} | harmless
    if isinstance(value, Mapping | list):
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        return {key: of_inner for key, inner in entries if (of_inner := _harmless_fields(inner))}
    return {}


def _is_harmless(section: type[Section], field: str, value: Any) -> bool:
    default = section.model_fields[field].get_default(call_default_factory=True)
    return _is_marked(section, field) or (_is_marked(section, field, _Later) and value == default)


def with_speed(section: S, raw: Mapping[str, Any] | None) -> S:
    """A section of a rule's parameters, with the fields that are marked with `ONLY_SPEED` as the configuration has them.

    Args:
        raw: the same section as YAML gave it. None if the configuration leaves it out; these fields then have their defaults.
    """
    return section if raw is None else _take_marked(section, type(section).model_validate(raw))


def _take_marked(section: S, configured: S) -> S:
    """The section with the marked fields of the configured section. The same holds for the sections that are its fields."""
    taken: dict[str, Any] = {}
    for field, value in section:
        other = getattr(configured, field)
        if _is_marked(type(section), field):
            taken[field] = other
        elif isinstance(value, Section) and type(value) is type(other):
            taken[field] = _take_marked(value, other)
    return section.model_copy(update=taken)


def entry_of(raw: Mapping[str, Any], section: str, name: str) -> Any:
    """An entry of the configuration as YAML gave it. YAML may have read its name as a number."""
    return {str(key): entry for key, entry in raw[section].items()}[name]


def members(base: type[S]) -> list[type[S]]:
    """The classes derived from a section that have no subclass: by module, and in the order of their definition there."""
    derived = base.__subclasses__()
    found = [member for each in derived for member in members(each)] if derived else [base]
    # The order in which modules are imported must not matter.
    return sorted(found, key=lambda member: member.__module__)


def tag_of(member: type[Section], by: str | None) -> str:
    """The tag of a member: the only value of its field `by`; without such a field, the name of its class."""
    if by is None:
        return member.__name__
    (tag,) = get_args(member.model_fields[by].annotation)
    return str(tag)


class OneOf:
    """Annotates a section from which others are derived, its members. A value is one of the members.

    With `by`, the field of that name tells the members apart: each member declares it as a `Literal` of one value. If the field
    is not given, the value is the member that has a default for it. Without `by`, a member is recognised by the key that its
    class names in `told_by`. If no such key is given, the member is meant whose `told_by` is None.
    """

    def __init__(self, by: str | None = None) -> None:
        self.by = by

    def members(self, base: type[Section]) -> dict[str, type[Section]]:
        """The members by their tags, which pydantic puts into the locations of errors."""
        return {tag_of(member, self.by): member for member in members(base)}

    def __get_pydantic_core_schema__(self, base: type[Section], handler: GetCoreSchemaHandler) -> CoreSchema:
        by, by_tag = self.by, self.members(base)
        defaults = [tag for tag, member in by_tag.items() if by is not None and not member.model_fields[by].is_required()]
        if by is not None and not defaults:
            return handler.generate_schema(Annotated[Union[tuple(by_tag.values())], Field(discriminator=by)])  # noqa: UP007
        tagged = tuple(Annotated[member, Tag(tag)] for tag, member in by_tag.items())
        told_apart = _by_key(by_tag) if by is None else _by_field(by, by_tag, defaults[0])
        return handler.generate_schema(Annotated[Union[tagged], told_apart])  # noqa: UP007


def _by_key(by_tag: Mapping[str, type[Section]]) -> Discriminator:
    keys = {member.told_by: tag for tag, member in by_tag.items()}

    def find_tag(value: Any) -> str:
        given = value if isinstance(value, Mapping) else type(value).model_fields if isinstance(value, Section) else ()
        return next((tag for key, tag in keys.items() if key in given), keys[None])

    return Discriminator(find_tag)


def _by_field(field: str, by_tag: Mapping[str, type[Section]], default: str) -> Discriminator:
    def find_tag(value: Any) -> Any:
        return value.get(field, default) if isinstance(value, Mapping) else getattr(value, field, default)

    message = f"{field} must be one of {', '.join(by_tag)}"
    return Discriminator(find_tag, custom_error_type=f"unknown_{field}", custom_error_message=message)


MANY = 2**31 - 1
"""More steps, tokens or examples than anybody can use. Larger numbers are slips."""

YEAR = 366 * 24 * 3600
"""Seconds."""


class Server(Section):
    """How a server with an OpenAI-compatible API is asked."""

    base_url_variable: Annotated[EnvironmentVariable, ONLY_SPEED] = Field(
        "OPENAI_BASE_URL", description="Environment variable with the server's address, which usually ends in `/v1`."
    )
    api_key_variable: Annotated[EnvironmentVariable, ONLY_SPEED] = Field(
        "OPENAI_API_KEY", description="Environment variable with the key. A server of your own may need none."
    )
    concurrency: Annotated[int, ONLY_SPEED] = Field(
        8, ge=1, le=10_000, description="Maximum number of requests at a time, for each job."
    )
    timeout_s: Annotated[float, ONLY_SPEED] = Field(
        120, gt=0, le=YEAR, description="Seconds after which a job gives up a request without an answer."
    )
    retries: Annotated[int, ONLY_SPEED] = Field(
        5,
        ge=0,
        le=1000,
        description="How often a request that failed in passing is sent again: after 1, 2, 4, … seconds or when the server says.",
    )
    length_field: Annotated[Literal["max_tokens", "max_completion_tokens"], ONLY_SPEED] = Field(
        "max_tokens", description="Field of a request that limits the answer's length; some hosted models know only the newer."
    )
    settings: dict[str, Any] = Field(default={}, description="Further fields of each request.")


class Price(Section):
    """What a model costs, in whatever currency."""

    hour: float = Field(0, ge=0, description="Price of an hour of computing.")
    million_prompt_tokens: float = Field(0, ge=0, description="Price of a million tokens of prompts.")
    million_new_tokens: float = Field(0, ge=0, description="Price of a million generated tokens.")


PINNED = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==v?(?:[0-9]+!)?[0-9](?:\.?[A-Za-z0-9])*(?:\+[A-Za-z0-9](?:\.?[A-Za-z0-9])*)?"
)
"""The form of a package with its version (PEP 508 and PEP 440). A name never begins with `-`, as options do."""


PINNED_RULE = "expected a package and its exact version, as in name==1.0"


def _pinned(package: str) -> str:
    if not PINNED.fullmatch(package):
        raise ValueError(PINNED_RULE)
    return package


PinnedPackage = Annotated[str, AfterValidator(_pinned), Field(json_schema_extra={"pattern": f"^{PINNED.pattern}$"})]


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


NonNegative = Annotated[int, Field(ge=0)]


Seed = Annotated[int, Field(ge=0, lt=2**64)]
"""A seed that torch takes."""
