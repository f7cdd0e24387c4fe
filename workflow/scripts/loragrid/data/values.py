"""Values of raw data as readers and the user's own functions give them, brought into a few plain forms."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from numbers import Integral, Real
from types import NoneType
from typing import Any

EXACT = 2**53
"""Floats up to this size hold every whole number exactly."""


LONGEST_BY_CHANCE = 15
"""A number that is exact in single precision although it has so many digits was read from single precision."""


class DecodedText(str):
    """Text that a reader gave as bytes. A template may still decode it, as it must decode bytes of other encodings."""

    __slots__ = ()

    def decode(self, *_: str) -> str:
        """The text itself."""
        return str(self)


def plain(value: Any) -> Any:
    """A value, and all values in it, as templates get them.

    - What is not there is None: also NaN, and the marks that pandas and numpy have for it.
    - A whole number is an integer. Readers make floats of integers where a column has gaps.
    - A number in single precision has the digits that it was written with: 3.8, not 3.799999952316284 as readers give it.
    - Bytes that are UTF-8 are text. Other bytes stay: a template may decode them.
    - Arrays are lists.
    """
    # Most values, by far, are of these types.
    if type(value) in (str, int, bool, NoneType):
        return value
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return _decoded(bytes(value))
    if hasattr(value, "tolist") and (value.ndim or value.dtype.kind == "b"):
        return plain(value.tolist())
    return value if isinstance(value, str) else _number(value) if isinstance(value, Real) else _unless_missing(value)


def _decoded(value: bytes) -> str | bytes:
    try:
        return DecodedText(value.decode("utf-8"))
    except UnicodeDecodeError:
        return value


def _number(value: Any) -> Any:
    if math.isnan(value):
        return None
    if not isinstance(value, Integral) and abs(value) <= EXACT and value == int(value):
        return int(value)
    return _as_written(value) if type(value) is float else value


def _as_written(value: float) -> float:
    """A number; if it was read from single precision, the shortest one that single precision has in its place."""
    # Shorter numbers may be in single precision by chance, such as 0.5.
    if len(repr(value).lstrip("-0.").partition("e")[0].replace(".", "")) < LONGEST_BY_CHANCE or math.isinf(value):
        return value
    try:
        single = struct.pack("f", value)
    except OverflowError:
        return value
    if struct.unpack("f", single) != (value,):
        return value
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((number for number in shorter if struct.pack("f", number) == single), value)


def _unless_missing(value: Any) -> Any:
    """None for a missing value of a type that is no number: of pandas (NA, NaT), numpy (NaT) and decimal numbers (NaN)."""
    return None if str(value) in ("<NA>", "NaT", "NaN", "sNaN") else value
