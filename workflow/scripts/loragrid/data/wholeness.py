"""Whether rows are those that they must be: answers those of a test set, scores those of answers, a mix that of data sets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from loragrid.data.splitting import subset
from loragrid.errors import DamagedError
from loragrid.records import Example
from loragrid.text.words import some_of

Answered = tuple[str, int]
"""The id of a test example, and which of several answers to it."""


def refuse_other_answers(path: str | Path, answered: Sequence[Answered], test: str | Path, examples: Sequence[Example]) -> None:
    """Compare predictions with the test set that they answer, or a subset of it.

    Args:
        path: the file of predictions.
        answered: its rows.
        test: the file of the test set.
        examples: all test examples.

    Raises:
        DamagedError: if there are answers to other examples, in another order, or not the same number for each.
    """
    ids = list(dict.fromkeys(id_ for id_, _ in answered))
    asked = subset(examples, len(ids))
    known, own = {example.id for example in examples}, set(ids)
    if foreign := [id_ for id_ in ids if id_ not in known]:
        raise DamagedError(path, f"rows of examples that {test} does not have: {some_of(foreign)}")
    if lost := [example.id for example in asked if example.id not in own]:
        raise DamagedError(path, f"there is no row for examples of {test} that come before others in a subset: {some_of(lost)}")
    if ids != [example.id for example in asked]:
        raise DamagedError(path, f"its rows are not in the order of {test}")
    refuse_uneven_samples(path, answered)


def refuse_uneven_samples(path: str | Path, answered: Iterable[Answered]) -> None:
    """Compare the numbers of answers to each example.

    Raises:
        DamagedError: naming the example that has fewer or others.
    """
    samples: dict[str, list[int]] = {}
    for id_, sample in answered:
        samples.setdefault(id_, []).append(sample)
    most = max(map(len, samples.values()), default=0)
    for id_, of_example in samples.items():
        if of_example != list(range(most)):
            raise DamagedError(path, f"expected {most} answers to example {id_}, found the answers {of_example}")


def refuse_other_scores(
    path: str | Path,
    scored: Iterable[tuple[str, Answered]],
    predictions: str | Path,
    answered: Collection[Answered],
    may_leave_out: bool,
    metrics: Iterable[str] = (),
    delete: str | Path | None = None,
) -> None:
    """Compare scores with the predictions that they are about: in each metric one row for each, in the same order.

    Args:
        path: the file of scores.
        scored: its rows: their metrics, and which answers they are about.
        predictions: the file of the predictions.
        answered: the rows of the predictions.
        may_leave_out: whether the scorer has nothing to say about some answers.
        metrics: those that the scorer gives, if they are known.
        delete: as in `DamagedError`.

    Raises:
        DamagedError: naming the metric, and the examples that are too many or too few.
    """
    by_metric: dict[str, list[Answered]] = {metric: [] for metric in metrics}
    for metric, answer in scored:
        by_metric.setdefault(metric, []).append(answer)
    if not by_metric and answered and not may_leave_out:
        raise DamagedError(path, f"it has no rows, but {predictions} has {len(answered)}", delete)
    known = set(answered)
    for metric, of_metric in by_metric.items():
        if foreign := [id_ for id_, sample in of_metric if (id_, sample) not in known]:
            raise DamagedError(path, f"{metric}: rows of answers that {predictions} does not have: {some_of(foreign)}", delete)
        own = set(of_metric)
        if (lost := [id_ for id_, sample in answered if (id_, sample) not in own]) and not may_leave_out:
            raise DamagedError(path, f"{metric}: there is no row for answers in {predictions}: {some_of(lost)}", delete)
        if of_metric != [answer for answer in answered if answer in own]:
            raise DamagedError(path, f"{metric}: its rows are not in the order of {predictions}", delete)


def refuse_other_examples(path: str | Path, mixed: Iterable[Example], drawn_from: Mapping[str, Example]) -> None:
    """Compare a mix with the data sets that it is drawn from.

    Args:
        path: the part of the mix.
        drawn_from: all examples of the same part of the data sets, by id.

    Raises:
        DamagedError: naming examples that no data set has so.
    """
    if foreign := list(_others(mixed, drawn_from)):
        raise DamagedError(path, f"examples that its data sets do not have, or not so: {some_of(foreign)}")


def _others(mixed: Iterable[Example], drawn_from: Mapping[str, Example]) -> Iterator[str]:
    return (example.id for example in mixed if drawn_from.get(example.id) != example)
