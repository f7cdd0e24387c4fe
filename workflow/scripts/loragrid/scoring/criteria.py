"""Functions shared by scorers with a metric for each criterion by which people rate answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def metrics_of_criteria(criteria: Iterable[str], have_one_scale: bool) -> tuple[str, ...]:
    """A metric for each criterion, and their `mean` if they lie on one scale."""
    return (*criteria, "mean") if have_one_scale else tuple(criteria)


def have_one_scale(values: Iterable[Sequence[float]]) -> bool:
    """Whether criteria have the same least and the same largest value that can be chosen."""
    return len({(min(of_criterion), max(of_criterion)) for of_criterion in values}) <= 1


def seem_on_one_scale(given: Iterable[Sequence[float]]) -> bool:
    """Whether ratings may lie on one scale, by criterion, where nobody says what could be chosen.

    They do not if the largest rating by one criterion is twice that by another, as of 0 and 1 and of 1 to 5. If nobody gave more
    than 0, it might have been 1.
    """
    largest = [max(1.0, *map(abs, ratings)) for ratings in given if ratings]
    return not largest or max(largest) < 2 * min(largest)


def means(given: Mapping[str, Sequence[float]], with_mean: bool) -> dict[str, float]:
    """The mean rating of each criterion that has ratings; and `mean`, over all criteria, if all have ratings.

    Args:
        with_mean: whether the criteria lie on one scale, so that there is a mean over them.
    """
    of_criteria = {name: sum(values) / len(values) for name, values in given.items() if values}
    complete = with_mean and len(of_criteria) == len(given)
    return of_criteria | ({"mean": sum(of_criteria.values()) / len(of_criteria)} if complete else {})
