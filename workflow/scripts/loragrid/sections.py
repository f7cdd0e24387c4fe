"""What the sections of the configuration are built of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Names become folder names and parts of run names, which are joined by two underscores.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+([._-][A-Za-z0-9]+)*$")]


NAME_RULE = "letters and digits, with single '.', '_' or '-' between them"


EnvironmentVariable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


PythonFunction = Annotated[str, StringConstraints(pattern=r"^[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*$")]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change after loading."""

    # Names may be written as numbers.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)


class Server(Section):
    """How a server with an OpenAI-compatible API is asked."""

    base_url_variable: EnvironmentVariable = Field(
        "OPENAI_BASE_URL", description="Environment variable with the server's address, which usually ends in `/v1`."
    )
    api_key_variable: EnvironmentVariable = Field(
        "OPENAI_API_KEY", description="Environment variable with the key. A server of your own may need none."
    )
    concurrency: int = Field(8, ge=1, description="Most requests at a time, for each job.")
    timeout_s: float = Field(120, gt=0, description="Seconds after which a request without an answer is given up.")
    retries: int = Field(
        5,
        ge=0,
        description="How often a request that failed in passing is sent again, after 1, 2, 4, … seconds or when the server says.",
    )
    length_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Field of a request that limits the answer; some hosted models know only the newer one."
    )
    settings: dict[str, Any] = Field(default={}, description="Further fields of each request.")


class Price(Section):
    """What a model costs, in whatever currency."""

    hour: float = Field(0, ge=0, description="Price of an hour of computing.")
    million_prompt_tokens: float = Field(0, ge=0, description="Price of a million tokens of prompts.")
    million_new_tokens: float = Field(0, ge=0, description="Price of a million generated tokens.")


PinnedPackage = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$")]


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def keys_given(value: Any) -> Iterable[str]:
    """The keys that tell which kind of section a value is meant for."""
    if isinstance(value, Mapping):
        return value
    return type(value).model_fields if isinstance(value, Section) else ()


NonNegative = Annotated[int, Field(ge=0)]
