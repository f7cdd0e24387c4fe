"""Divisions of the test questions into slices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from loragrid.layout import Dataset
from loragrid.records import Example, iterate_records

METADATA, LENGTH, REFERENCES, CUT_OFF = "metadata", "input length", "references", "cut off"
"""What questions or answers are divided by."""

OTHER = "other"
MOST_VALUES = 20
"""Slices by a key, the one for all other values included."""

MOST_LEVELS = 6
"""So many different numbers are values of their own; more are divided into quarters."""


class Division(NamedTuple):
    """Test questions in slices."""

    by: str
    key: str
    """Of the metadata; else empty."""
    slices: Sequence[str]
    """Their names, in order."""
    of_question: Mapping[str, str]
    """The slice of each question, by its id."""


def read_divisions(tests: Iterable[str | Path]) -> dict[tuple[str, str], list[Division]]:
    """The divisions of each data set, by task and sample type.

    Args:
        tests: test sets.
    """
    found = {}
    for path in tests:
        dataset = Dataset.of(path)
        found[dataset.task, dataset.sample_type] = list(divisions(list(iterate_records(path, Example))))
    return found


def divisions(examples: Sequence[Example]) -> Iterator[Division]:
    """By each key of the metadata, by the length of what is asked in characters, and by the number of references.

    A key that all questions have the same value of, or each another one, divides nothing.
    """
    for key in dict.fromkeys(key for example in examples for key in example.metadata):
        of_question = {example.id: example.metadata.get(key, "") for example in examples}
        numbers = _numbers(of_question)
        divided = quarters(numbers) if numbers and len(set(numbers.values())) > MOST_LEVELS else by_value(of_question)
        if divided is not None:
            yield Division(METADATA, key, *divided)
    lengths = {example.id: float(len("\n".join(example.prompts) or example.input or example.instruction)) for example in examples}
    if (divided := quarters(lengths)) is not None:
        yield Division(LENGTH, "", *divided)
    references = {example.id: str(len(example.references)) for example in examples}
    if (divided := by_value(references)) is not None:
        yield Division(REFERENCES, "", *divided)


def _numbers(values: Mapping[str, str]) -> dict[str, float] | None:
    """All values as numbers; None if one is none."""
    try:
        numbers = {one: float(value) for one, value in values.items()}
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers.values())) else None


def by_value(values: Mapping[str, str]) -> tuple[list[str], dict[str, str]] | None:
    """A slice for each value that several questions have, the most frequent first; one for all others.

    Numbers are in their order.
    """
    counts = Counter(values.values())
    several = [value for value, count in counts.most_common() if count > 1]
    kept = several if len(several) == len(counts) <= MOST_VALUES else several[: MOST_VALUES - 1]
    slices = {one: value if value in kept else OTHER for one, value in values.items()}
    if not kept or len(set(slices.values())) < 2:
        return None
    numbers = _numbers({value: value for value in kept})
    order = sorted(kept, key=lambda value: numbers[value]) if numbers else kept
    return [*order, *([OTHER] if OTHER not in kept and len(kept) < len(counts) else [])], slices


def quarters(values: Mapping[str, float]) -> tuple[list[str], dict[str, str]] | None:
    """Slices between the quartiles, as far as these differ. Each is named by its least and largest value."""
    numbers = np.array(list(values.values()))
    if not len(numbers):
        return None
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75]))
    places = np.searchsorted(edges, numbers)
    parts = {place: numbers[places == place] for place in np.unique(places)}
    if len(parts) < 2:
        return None
    names = dict(zip(parts, _ranges(list(parts.values())), strict=True))
    return list(names.values()), {one: names[place] for one, place in zip(values, places, strict=True)}


def _ranges(parts: Sequence[np.ndarray]) -> list[str]:
    """The least and largest value of each part, with as many digits as tell all of them apart."""
    ends = sorted({float(end) for part in parts for end in (part.min(), part.max())})
    digits = next(digits for digits in (6, 9, 12, 17) if digits == 17 or len({f"{end:.{digits}g}" for end in ends}) == len(ends))
    texts = {end: _number(end, digits) for end in ends}
    return [
        texts[low] if low == high else f"{texts[low]} to {texts[high]}"
        for low, high in ((float(part.min()), float(part.max())) for part in parts)
    ]


def _number(value: float, digits: int) -> str:
    """A number as a reader knows it; years have no comma."""
    return f"{value:,.{digits}g}" if abs(value) >= 10_000 else f"{value:.{digits}g}"
