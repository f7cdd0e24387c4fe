"""From predictions to rows of scores: what every scorer is given, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from loragrid.records import Example, Prediction, Score


class Item(NamedTuple):
    """One answer, with all that a scorer may read. An example with several prompts gives several items."""

    id: str
    """The id of the test example."""
    prediction: str
    references: tuple[str, ...]
    prompt: str = ""
    """As the model got it."""
    instruction: str = ""
    """Of the test example, as are the next two; empty for scorers that do not read the examples."""
    input: str = ""
    metadata: Mapping[str, str] = {}
    place: str = ""
    """The place of the prediction file, below `results/predictions` and without an ending."""
    sample: int = 0
    part: int = 0
    """Which of the example's prompts, if it has several."""


Text = Literal["prediction", "reference", "question"]


class Scored(NamedTuple):
    """What a scorer says about one answer."""

    metrics: Mapping[str, float]
    detail: str | None = None
    """What it has read in the answer, for the reader: a label, a verdict, a judge's words."""
    parts: Mapping[str, float] = {}
    """Counts for a metric over all examples, or annotators' ratings by `criterion/annotator/row of the sheet`."""
    usage: Mapping[str, int] = {}
    """The cost of a judge: `calls`, `prompt_tokens` and `new_tokens`."""
    left_out: Collection[str] = ()
    """Metrics that nobody was asked for. Any other metric that is missing is a failure."""
    undefined: Mapping[str, str] = {}
    """Why metrics have no value, by metric, where that can be said."""
    truncated: Collection[Text] = ()
    """The texts that the scorer's model could not read whole."""


class Failed(NamedTuple):
    """Why a scorer can say nothing about an answer that it should have scored."""

    reason: str
    detail: str | None = None
    usage: Mapping[str, int] = {}


Outcome = Scored | Failed | None
"""None: the scorer has nothing to do with this answer, which gets no row; its class says `may_leave_out` then."""


ScorerFunction = Callable[[Sequence[Item]], Sequence[Outcome]]
"""Gives the outcome of each answer, in the same order."""


def each(score_one: Callable[[str, str], Mapping[str, float]]) -> ScorerFunction:
    """The scorer that compares a prediction with one reference at a time. Of several, the best counts for each metric."""
    return lambda items: [Scored(best_of(score_one(item.prediction, r) for r in item.references)) for item in items]


def best_of(metrics: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """For several references, the highest value of each metric."""
    best: dict[str, float] = {}
    for of_reference in metrics:
        best = {name: max(value, best.get(name, value)) for name, value in of_reference.items()}
    return best


def items_of(
    predictions: Iterable[Prediction], place: str = "", examples: Mapping[str, Example] | None = None
) -> list[list[Item]]:
    """The answers to score, for each prediction: one for each prompt with a reference of its own. Joined answers count as one.

    Args:
        place: the place of the prediction file, as in `Item`.
        examples: the test examples by id, for scorers that read them.
    """
    answers = []
    for prediction in predictions:
        parts = prediction.parts
        if prediction.answers == "joined":
            parts = [
                parts[0]
                | {name: "\n".join(dict.fromkeys(part[name] for part in parts)) for name in ("prompt",)}
                | {"prediction": "\n".join(part["prediction"] for part in parts)}
            ]
        example = examples[prediction.id] if examples else None
        inputs = [""] * len(parts)
        if example is not None:
            inputs = [part.input for part in example.parts]
            inputs = ["\n".join(inputs)] if prediction.answers == "joined" else inputs
        answers.append(
            [
                Item(
                    id=prediction.id,
                    prediction=part["prediction"],
                    references=tuple(part["reference"]),
                    prompt=part["prompt"],
                    instruction=example.instruction if example else "",
                    input=input_,
                    metadata=example.metadata if example else {},
                    place=place,
                    sample=prediction.sample,
                    part=i,
                )
                for i, (part, input_) in enumerate(zip(parts, inputs, strict=True))
            ]
        )
    return answers


def score_rows(
    name: str,
    metrics: Sequence[str],
    items: Sequence[Sequence[Item]],
    outcomes: Iterable[Outcome],
    worst: Mapping[str, float | None] = MappingProxyType({}),
) -> Iterator[Score]:
    """Rows for every prediction and metric. A value that is missing or not finite becomes a row with a status.

    If each of several answers has a reference of its own, the row is their mean, as `mean_of_parts` has it. A metric that all of
    them leave out gets no row.

    Args:
        metrics: the metrics that the scorer gives.
        items: as `items_of` gives them.
        outcomes: of all items, one after the other.
        worst: as in `ScorerFacts`.
    """
    following = iter(outcomes)
    for of_prediction in items:
        own = [outcome for outcome in (next(following) for _ in of_prediction) if outcome is not None]
        scored = [outcome for outcome in own if isinstance(outcome, Scored)]
        has_failed = len(scored) < len(own)
        given = [metric for metric in metrics if has_failed or any(metric not in outcome.left_out for outcome in scored)]
        for i, metric in enumerate(given if own else ()):
            value, status = mean_of_parts(own, metric, worst.get(metric, 0.0))
            yield Score(
                id=of_prediction[0].id,
                sample=of_prediction[0].sample,
                scorer=name,
                metric=metric,
                value=value,
                status=status,
                # Once, for all metrics, is enough.
                detail=None if i else "\n".join(outcome.detail for outcome in own if outcome.detail is not None) or None,
                parts={} if i else add_up(outcome.parts for outcome in scored),
                truncated=[] if i else sorted({text for outcome in scored for text in outcome.truncated}),
                usage={} if i else {key: int(value) for key, value in add_up(outcome.usage for outcome in own).items()},
            )


def mean_of_parts(outcomes: Sequence[Failed | Scored], metric: str, worst: float | None) -> tuple[float | None, str]:
    """The value of a metric for an example, and its status: the mean over its parts. Without any value, it is None.

    Args:
        outcomes: of the parts.
        worst: the value as which a part counts that has failed; None leaves it out.
    """
    values, failures = [], []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            failures.append(outcome.reason)
        elif metric not in outcome.left_out:
            value = outcome.metrics.get(metric, math.nan)
            if math.isfinite(value):
                values.append(value)
            else:
                failures.append(outcome.undefined.get(metric, f"the value is {value}"))
    if not values:
        return None, f"failed: {failures[0]}"
    if not failures:
        return sum(values) / len(values), "ok"
    counted = values + ([] if worst is None else [worst] * len(failures))
    number = f"{len(failures)} of {len(values) + len(failures)} parts failed"
    return sum(counted) / len(
        counted
    ), f"{number} and {'are left out' if worst is None else f'count as {worst:g}'}: {failures[0]}"


def add_up(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sums of counts, by their names."""
    total: dict[str, float] = {}
    for of_example in counts:
        for key, value in of_example.items():
            total[key] = total.get(key, 0) + value
    return total
