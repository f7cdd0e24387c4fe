"""Which contrasts differ in nothing but their task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from loragrid.analysis.contrasts.pairs import Contrast


class OfTask(Protocol):
    """A contrast in one metric that is found, or planned."""

    @property
    def contrast(self) -> Contrast: ...

    @property
    def over_tasks(self) -> str | None:
        """The family of its mean over tasks; None: it is not made."""

    @property
    def name(self) -> str:
        """The metric, as `scorer/metric`."""


AnyOfTask = TypeVar("AnyOfTask", bound=OfTask)


def groups_over_tasks(found: Sequence[AnyOfTask]) -> Iterator[list[AnyOfTask]]:
    """The contrasts of each wanted mean over tasks: those that differ in nothing but their task.

    Which sample type trains better is asked of each task's runs with the most training examples, also where there is one task.
    """
    groups: dict[tuple[object, ...], list[AnyOfTask]] = {}
    for one in _with_most_examples([one for one in found if _can_be_added_up(one)]):
        groups.setdefault((one.over_tasks, one.contrast.other, one.contrast.own, _but_task(one), one.name), []).append(one)
    for group in groups.values():
        if len({one.contrast.first.task for one in group}) > 1 or _is_about_sample_types(group[0]):
            yield group


def size_of_training(one: OfTask) -> int:
    """How many training examples the first way has; 0 if it has none."""
    return one.contrast.first.nb_samples or 0


def _can_be_added_up(one: OfTask) -> bool:
    own, other = one.contrast.first, one.contrast.minus[0][1]
    is_alike = one.contrast.kind == "difference" and own.sample_type == other.sample_type
    return one.over_tasks is not None and is_alike and own.is_on_own_task


def _is_about_sample_types(one: OfTask) -> bool:
    return one.contrast.axis == "trained_sample_type"


def _with_most_examples(found: Sequence[AnyOfTask]) -> list[AnyOfTask]:
    """Those about sample types only with the largest number of training examples of each task."""
    largest: dict[tuple[object, ...], int] = {}
    for one in found:
        largest[_all_but_size(one)] = max(largest.get(_all_but_size(one), 0), size_of_training(one))
    return [one for one in found if not _is_about_sample_types(one) or size_of_training(one) == largest[_all_but_size(one)]]


def _all_but_size(one: OfTask) -> tuple[object, ...]:
    return one.contrast.own, one.contrast.other, one.contrast.first._replace(nb_samples=None, way=""), one.name


def _but_task(one: OfTask) -> tuple[object, ...]:
    way = one.contrast.first
    if not way.is_trained:
        return one.contrast.axis, way._replace(task="")
    size = None if _is_about_sample_types(one) else way.nb_samples
    return one.contrast.axis, way._replace(task="", trained_task="", way="", nb_samples=size)
