"""JSON in the midst of other text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal

MOST_FAILURES = 1000
"""So many beginnings of values that turn out to be none are tried. To fail takes time in proportion to the text before."""


# What may follow an opening sign. White space is bounded so that nothing is read twice.
_BEGINNINGS = {"{": re.compile(r'\{(?=\s{0,99}["}])'), "[": re.compile(r'\[(?=\s{0,99}[\]\["{\d\-tfnNI])')}


def json_values(
    text: str,
    opening: Literal["{", "["],
    wanted: Callable[[Any], bool] = lambda value: True,
    of_pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Iterator[Any]:
    """The wanted JSON values in a text that begin with a sign, in order. A value inside another wanted one is left out.

    Args:
        of_pairs: makes an object of its entries; by default a dict, in which the last of several entries with one name counts.
    """
    decoder = json.JSONDecoder(object_pairs_hook=of_pairs)
    end = failures = 0
    for match in _BEGINNINGS[opening].finditer(text):
        if match.start() < end:
            continue
        try:
            value, stop = decoder.raw_decode(text, match.start())
        except ValueError:
            failures += 1
            if failures == MOST_FAILURES:
                return
        except RecursionError:
            # Nobody nests values that deep, and each level would be tried anew.
            return
        else:
            if wanted(value):
                end = stop
                yield value
