"""Hyper-parameters with several values: what their ranges stand for, and what each setting is called.

A setting has one value for each swept key. Its name tells these values, and depends on nothing else that is swept: whoever adds
a value, or draws more often, keeps the names of the others, and so their results.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Annotated, Any, NamedTuple, Self

from pydantic import ConfigDict, Field, PlainValidator, model_validator

from loragrid.layout import NAME
from loragrid.sections import MANY, Section

KINDS = ("uniform", "log_uniform", "integers", "choice")
"""The distributions."""


class Distribution(Section):
    """Values of a hyper-parameter are drawn at random. Exactly one of these keys is given."""

    uniform: list[float] | None = Field(
        None, min_length=2, max_length=2, description="The least and the largest value; all between are equally likely."
    )
    log_uniform: list[float] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="The least and the largest value; all orders of magnitude between are equally likely.",
    )
    integers: list[int] | None = Field(
        None, min_length=2, max_length=2, description="The least and the largest value; all whole numbers are equally likely."
    )
    choice: list[Any] | None = Field(None, min_length=1, description="Values that are equally likely.")

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(KINDS)}")
        if given[0] != "choice":
            low, high = getattr(self, given[0])
            if low >= high:
                raise ValueError(f"{given[0]}: expected the least and the largest value, in this order")
            if given[0] == "log_uniform" and low <= 0:
                raise ValueError("log_uniform: expected numbers above 0")
        return self

    def at(self, share: float) -> Any:
        """The value below which a share of all draws lies, with three significant digits. For a choice, the value there.

        Args:
            share: from 0 to less than 1.
        """
        if self.choice is not None:
            return self.choice[int(share * len(self.choice))]
        if self.integers is not None:
            low, high = self.integers
            return low + int(share * (high - low + 1))
        if self.uniform is not None:
            least, largest = self.uniform
            value = least + share * (largest - least)
        else:
            assert self.log_uniform is not None
            least, largest = self.log_uniform
            value = math.exp(math.log(least) + share * (math.log(largest) - math.log(least)))
        # Rounding must not leave the range.
        return min(max(float(f"{value:.3g}"), least), largest)


def _range(value: Any) -> Any:
    """A list of values, or a distribution."""
    if isinstance(value, list) and value:
        return value
    if isinstance(value, Mapping | Distribution):
        return Distribution.model_validate(value)
    raise ValueError(f"expected a list of values, or a distribution ({', '.join(KINDS)})")


Range = Annotated[list[Any] | Distribution, PlainValidator(_range, json_schema_input_type=list[Any] | Distribution)]


class Sweep(Section):
    """Several values of hyper-parameters: a list of values by the name of a key, or a distribution.

    All combinations of listed values are trained. Values of keys with a distribution are drawn together, `draws` times, and each
    draw is combined with all listed values.
    """

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, Range]

    draws: int | None = Field(None, ge=1, le=10_000, description="How many times values are drawn from the distributions.")
    seed: int = Field(
        1, ge=0, le=MANY, description="Seed of the draws. More draws keep the first ones; so do other keys with a distribution."
    )

    @model_validator(mode="after")
    def _draws_are_asked_for(self) -> Self:
        if not self.ranges:
            raise ValueError("expected a hyper-parameter with its values, as in learning_rate: [0.0001, 0.0003]")
        drawn = [key for key, values in self.ranges.items() if isinstance(values, Distribution)]
        if drawn and self.draws is None:
            raise ValueError(f"draws is missing: how many values are drawn for {' and '.join(drawn)}")
        if self.draws is not None and not drawn:
            raise ValueError("draws needs a hyper-parameter with a distribution to draw from")
        if (number := self.number) > MOST:
            raise ValueError(f"makes {number:,} settings; expected at most {MOST:,}")
        return self

    @property
    def ranges(self) -> dict[str, list[Any] | Distribution]:
        """The values of each swept key, or from what they are drawn."""
        return self.__pydantic_extra__ or {}

    @property
    def number(self) -> int:
        """How many settings there are. Draws that come out alike count each."""
        listed = (len(values) for values in self.ranges.values() if isinstance(values, list))
        return math.prod(listed) * (self.draws or 1)

    def settings(self) -> Iterator[list[Value]]:
        """The settings: the value of each swept key."""
        ranges = self.ranges.items()
        listed = [[Value(key, value, i) for i, value in enumerate(values)] for key, values in ranges if isinstance(values, list)]
        drawn = {key: values for key, values in ranges if isinstance(values, Distribution)}
        for combination in product(*listed):
            for draw in range(self.draws or 1):
                of_draw = [Value(key, values.at(share(self.seed, draw, key)), None) for key, values in drawn.items()]
                yield [*combination, *of_draw]


class Value(NamedTuple):
    """The value of a hyper-parameter in a setting."""

    key: str
    value: Any
    place: int | None
    """Where it stands in the list of the key's values; None: it was drawn."""


MOST = 1_000
"""Settings of one config."""


def share(seed: int, draw: int, key: str) -> float:
    """A random number from 0 to less than 1, which depends on nothing but these. Python keeps it the same in all its versions."""
    return random.Random(f"{seed} {draw} {key}").random()


LONGEST = 80
"""Signs of a setting's name. It is a part of the names of files, which have room for 255."""


def setting_name(config: str, values: Mapping[str, Any]) -> str:
    """What a setting of a config is called: `lora-learning_rate3e-4-rank8`. A longer name is cut and ends in a hash of it.

    Args:
        config: the name of the config.
        values: of the swept keys.
    """
    name = "-".join([config, *(_named(key, values[key]) for key in sorted(values))])
    if len(name) <= LONGEST:
        return name
    end = _hash(name)
    return f"{name[: max(len(config), LONGEST - len(end) - 1)].rstrip('._-')}-{end}"


def _named(key: str, value: Any) -> str:
    """A key and its value as a part of a name."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        # A key may end in a number too.
        return f"{key}{'_' if key[-1].isdigit() else ''}{_number(value)}"
    return f"{key}_{_word(value)}"


def _number(value: float) -> str:
    """A number as people write it: 8, 0.05, 3e-4."""
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    size = len(digits) - 1 + exponent
    if -2 <= size <= 5 or not value:
        return f"{Decimal(repr(value)).normalize():f}"
    first, *others = map(str, digits)
    return f"{first}{'.' if others else ''}{''.join(others)}e{size}"


MOST_SIGNS = 40
"""Signs of a value in a name."""


def _word(value: Any) -> str:
    """A value that is no number as a part of a name. What would be long, odd or taken for another value ends in a hash of it."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str) and _is_plain(value) and len(value) <= MOST_SIGNS:
        return value
    # A list of one name must not be called as the name itself.
    if isinstance(value, list) and len(value) > 1 and all(isinstance(one, str) and _is_plain(one) for one in value):
        joined = ".".join(value)
        if len(joined) <= MOST_SIGNS:
            return joined
    written = json.dumps(_with_texts_as_keys(value), sort_keys=True, default=str)
    start = re.sub(r"[^A-Za-z0-9]+", "_", written).strip("_")[: MOST_SIGNS // 2].strip("_")
    return f"{start}_{_hash(written)}" if start else _hash(written)


def _with_texts_as_keys(value: Any) -> Any:
    """A value whose keys can be sorted."""
    if isinstance(value, Mapping):
        return {str(key): _with_texts_as_keys(inner) for key, inner in value.items()}
    return [_with_texts_as_keys(inner) for inner in value] if isinstance(value, list) else value


def _is_plain(text: str) -> bool:
    """Whether a text can stand in a name as it is. Points are left to lists."""
    return re.fullmatch(NAME, text) is not None and "." not in text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
