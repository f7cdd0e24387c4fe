"""Ways that differ in one thing only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise, product
from statistics import fmean
from typing import Any, Literal, NamedTuple

from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.contrasts.ways import Way, base_of
from loragrid.layout import BASELINE, EXTERNAL

Kind = Literal["difference", "slope", "interaction"]


Terms = tuple[tuple[float, Way], ...]
"""Ways with their weights."""


class Contrast(NamedTuple):
    """A weighted sum of means of ways, minus another."""

    axis: str
    kind: Kind
    own: str
    """What the first side is on the axis, for tables."""
    other: str
    plus: Terms
    minus: Terms

    @property
    def ways(self) -> list[Way]:
        """All ways that it is about."""
        return [way for _, way in (*self.plus, *self.minus)]

    @property
    def first(self) -> Way:
        """The way whose axes stand in tables."""
        return self.plus[0][1]


def against_base(ways: Sequence[Way]) -> Iterator[Contrast]:
    """Each kind of run, and each answers from elsewhere, against its base model, asked alike on the same questions."""
    there = set(ways)
    for way in ways:
        if (base := base_of(way)) in there and base is not None:
            yield Contrast("training", "difference", "trained" if way.is_trained else way.way, base.way, _one(way), _one(base))


def differences(
    ways: Sequence[Way],
    axis: str,
    values: Sequence[str] | None = None,
    against: str | None = None,
    neighbours: bool = False,
) -> Iterator[Contrast]:
    """Pairs of ways that differ in one axis alone: each value minus each value before it.

    Values come in the order in which the ways have them, numbers by size. If ways were trained on different sample types and are
    tested on no references in common, each is tested on references of its own.

    Args:
        values: only these, in this order.
        against: only pairs with this one, which is subtracted.
        neighbours: only values that follow each other.
    """
    order = ordered(ways, axis, values)
    for group in _alike(ways, axis):
        by_value = {str(getattr(way, axis)): way for way in group}
        there = [value for value in order if value in by_value]
        for other, own in _chosen(there, against, neighbours):
            yield Contrast(axis, "difference", own, other, _one(by_value[own]), _one(by_value[other]))
    if axis == "trained_sample_type":
        yield from _on_own_references(ways, order, against)


def slopes(ways: Sequence[Way], values: Sequence[str] | None = None) -> Iterator[Contrast]:
    """The slope of the least-squares line through the means of ways that differ in `nb_samples`, over its binary logarithm.

    It is what a doubling of the training examples adds. Only where there are three sizes: of two, it says what their difference
    says.
    """
    order = ordered(ways, "nb_samples", values)
    for group in _alike(ways, "nb_samples"):
        points = sorted((way for way in group if way.nb_samples and str(way.nb_samples) in order), key=_size)
        if len(points) < 3:
            continue
        x = [math.log2(_size(way)) for way in points]
        squares = sum((one - fmean(x)) ** 2 for one in x)
        weights = [(one - fmean(x)) / squares for one in x]
        plus = tuple((weight, way) for weight, way in zip(weights, points, strict=True) if weight > 0)
        minus = tuple((-weight, way) for weight, way in zip(weights, points, strict=True) if weight < 0)
        sizes = ", ".join(str(way.nb_samples) for way in points)
        yield Contrast("nb_samples", "slope", "each doubling", sizes, plus[::-1], minus)


def interactions(
    ways: Sequence[Way], axis: str, across: str, values: Sequence[str] | None = None, against: str | None = None
) -> Iterator[Contrast]:
    """How far the difference between two values of an axis differs between two values of another one, where all four exist."""
    order, others = ordered(ways, axis, values), ordered(ways, across)
    for group in _alike(ways, axis, across):
        by_values = {(str(getattr(way, axis)), str(getattr(way, across))): way for way in group}
        pairs = product(_chosen(order, against, axis == "nb_samples"), _chosen(others, None, across == "nb_samples"))
        for (a, b), (c, d) in pairs:
            if all(pair in by_values for pair in product((a, b), (c, d))):
                sides = [((1.0, by_values[b, place]), (-1.0, by_values[a, place])) for place in (d, c)]
                yield Contrast(f"{axis}*{across}", "interaction", f"{b} - {a} at {d}", f"{b} - {a} at {c}", sides[0], sides[1])


def ordered(ways: Iterable[Way], axis: str, values: Sequence[str] | None = None) -> list[str]:
    """The values of an axis: those given, or all, numbers by size, others in the order of the ways."""
    if values is not None:
        return list(dict.fromkeys(values))
    found = dict.fromkeys(getattr(way, axis) for way in ways if _takes_part(way, axis))
    return [str(value) for value in (sorted(found) if axis == "nb_samples" else found)]


def _one(way: Way) -> Terms:
    return ((1.0, way),)


def _size(way: Way) -> int:
    return way.nb_samples or 0


def _chosen(values: Sequence[str], against: str | None, neighbours: bool) -> Iterator[tuple[str, str]]:
    """Pairs of values; the first is subtracted."""
    if against is not None:
        return ((against, value) for value in values if value != against and against in values)
    return pairwise(values) if neighbours else combinations(values, 2)


def _takes_part(way: Way, axis: str) -> bool:
    if axis == "base_model":
        return way.base_model not in (BASELINE, EXTERNAL)
    return way.is_trained if axis in TRAINED else True


def _alike(ways: Iterable[Way], *axes: str) -> list[list[Way]]:
    """Ways in groups that differ in these axes alone."""
    groups: dict[Way, list[Way]] = {}
    for way in ways:
        if all(_takes_part(way, axis) for axis in axes):
            groups.setdefault(_without(way, *axes), []).append(way)
    return list(groups.values())


def _without(way: Way, *axes: str) -> Way:
    """A way without some axes. The name of a kind of run says nothing that its axes do not say."""
    blank: dict[str, Any] = dict.fromkeys(axes)
    return way._replace(**blank | ({"way": ""} if way.is_trained else {}))


def _on_own_references(ways: Sequence[Way], order: Sequence[str], against: str | None) -> Iterator[Contrast]:
    """Pairs of sample types that are tested on no references in common, each on references of its own."""
    for group in _alike(ways, "trained_sample_type", "sample_type"):
        tested: dict[str, dict[str, Way]] = {}
        for way in group:
            tested.setdefault(str(way.trained_sample_type), {})[way.sample_type] = way
        there = [value for value in order if value in tested]
        for other, own in _chosen(there, against, neighbours=False):
            if not tested[own].keys() & tested[other].keys() and own in tested[own] and other in tested[other]:
                sides = _one(tested[own][own]), _one(tested[other][other])
                yield Contrast("trained_sample_type", "difference", own, other, *sides)
