"""The scorer `custom`: a function that the user wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from reprlib import repr as short
from typing import Any, Literal

from pydantic import Field

from loragrid.errors import UserError
from loragrid.records import question
from loragrid.runtime.job import log
from loragrid.runtime.user_code import load_function, problem_of_function, told
from loragrid.scoring.foreign_code import as_number, score_each, unknown_lower_metrics
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.scorer import Named, ScorerInputs, ScorerSettings
from loragrid.sections import Name, PythonFunction

GIVEN = ("predictions", "references", "prompts")
"""The keywords with which every function is called."""


class CustomScorer(ScorerSettings):
    """Your own function.

    It is called once, with the keywords `predictions` (texts), `references` (a list of texts for each), `prompts` (instruction
    and input of each test example) and the `arguments`. For each answer it gives a number, a mapping of metric to number, or
    None if it has nothing to say. If it raises, it is called for one answer at a time; answers on which it raises count as
    failed.
    """

    type: Literal["custom"] = Field(description="Chooses this scorer.")
    function: PythonFunction = Field(description="The function, as `path.py:function`.")
    metrics: list[Name] = Field(default=["value"], min_length=1, description="The names of the metrics that it gives.")
    lower_is_better: list[Name] = Field(
        default=[],
        description="The metrics for which less is better. In means, a failed score counts as 0, except for these metrics.",
    )
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the function.")

    reads_examples = True
    may_leave_out = True
    is_light = False

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        return custom(self.function, self.metrics, self.arguments)

    def metrics_of_example(self, criteria: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
        return tuple(self.metrics)

    def metrics_with_low_good(self) -> Sequence[str]:
        return self.lower_is_better

    def decisive_settings(self) -> dict[str, Any]:
        # The direction that is better changes no score, only the tables.
        return {key: value for key, value in super().decisive_settings().items() if key != "lower_is_better"}

    def files(self) -> dict[str, str]:
        return {"function": self.function.rpartition(":")[0]}

    def problems(self, config: Named) -> Iterator[str]:
        yield from unknown_lower_metrics(self.lower_is_better, self.metrics)
        if taken := [key for key in GIVEN if key in self.arguments]:
            yield f"arguments: '{taken[0]}' is what every scorer function is given; choose another name."

    def problems_in_files(self, config: Named) -> Iterator[str]:
        if problem := problem_of_function(self.function, [*GIVEN, *self.arguments]):
            yield f"function: {problem}"


def custom(function: str, metrics: Sequence[str], arguments: Mapping[str, Any]) -> ScorerFunction:
    """The scorer that calls the user's function, once with all answers.

    If the function raises, it is called for one answer at a time: answers on which it raises have failed, the others are scored.

    Args:
        function: as `path.py:function`. It is given the keywords `predictions` (texts), `references` (a list of texts for each),
            `prompts` (the question of each test example) and the `arguments`. For each answer it gives a number, a mapping of
            metric to number, or None.
        metrics: the metrics that it gives. If there is only one, the function may give just a number.

    Raises:
        UserError: naming the function, if it cannot be loaded, raises on every answer, or gives something else. In the last case
            the error names the example too.
    """
    what = f"scorer function '{function}'"
    with told(what):
        call = load_function(function)

    def values_of(items: Sequence[Item]) -> Any:
        return _listed(
            call(
                predictions=[item.prediction for item in items],
                references=[list(item.references) for item in items],
                prompts=[question(item) for item in items],
                **arguments,
            )
        )

    def outcomes_of(items: Sequence[Item], values: Any) -> list[Outcome]:
        if not isinstance(values, list):
            raise UserError(f"{what} gives {short(values)}; expected a list with a value for each answer.")
        if len(values) != len(items):
            first = f", none for example {items[len(values)].id}" if len(values) < len(items) else ""
            raise UserError(f"{what} gives {len(values)} values for {len(items)} answers{first}; expected one for each.")
        return [_outcome(what, metrics, item, value) for item, value in zip(items, values, strict=True)]

    def score(items: Sequence[Item]) -> list[Outcome]:
        try:
            values = values_of(items)
        except Exception:
            log.info("%s failed; it is called for one answer at a time", what, exc_info=True)
            return score_each(what, items, lambda item: outcomes_of([item], values_of([item]))[0])
        return outcomes_of(items, values)

    return score


def _listed(values: Any) -> Any:
    """The items of a list, an array or a generator. A value without items in an order is returned as it is."""
    has_order = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping | Set)
    return list(values) if has_order and getattr(values, "ndim", 1) != 0 else values


def _outcome(what: str, metrics: Sequence[str], item: Item, value: Any) -> Outcome:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        if (number := as_number(value)) is None:
            raise UserError(
                f"{what}, example {item.id}: gives {short(value)}; expected a number or a mapping of metric to number."
            )
        if len(metrics) != 1:
            raise UserError(f"{what}, example {item.id}: gives a number; expected a mapping with {', '.join(metrics)}.")
        return Scored({metrics[0]: number})
    for metric in value:
        if metric not in metrics:
            raise UserError(f"{what}, example {item.id}: gives '{metric}', which is not among its metrics: {', '.join(metrics)}.")
    numbers = {}
    for metric in metrics:
        if metric not in value:
            raise UserError(f"{what}, example {item.id}: does not give '{metric}'; it gives: {', '.join(value) or 'nothing'}.")
        if (number := as_number(value[metric])) is None:
            raise UserError(f"{what}, example {item.id}: gives {short(value[metric])} as '{metric}'; expected a number.")
        numbers[metric] = number
    return Scored(numbers)
