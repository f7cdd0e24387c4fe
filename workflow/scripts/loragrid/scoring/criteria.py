"""Functions shared by scorers with a metric for each criterion by which people rate answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def metrics_of_criteria(criteria: Iterable[str]) -> tuple[str, ...]:
    """A metric for each criterion, and their `mean`."""
    return (*criteria, "mean")


def means(given: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The mean rating of each criterion that has ratings; and `mean`, over all criteria, if all have ratings."""
    of_criteria = {name: sum(values) / len(values) for name, values in given.items() if values}
    complete = len(of_criteria) == len(given)
    return of_criteria | ({"mean": sum(of_criteria.values()) / len(of_criteria)} if complete else {})
