"""Which ways there are: kinds of run, base models, and answers from elsewhere, each asked in one way on one data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from loragrid.analysis.columns import AXES, MODEL
from loragrid.layout import BASE, BASELINE, EXTERNAL, Evaluation, Run

if TYPE_CHECKING:
    import pandas as pd

EvaluationKey = tuple[str, ...]
"""The values of `MODEL`: one set of predictions."""


class Way(NamedTuple):
    """A kind of run, a base model or answers from elsewhere, asked in one way on one data set: the columns of `WAY`."""

    base_model: str
    task: str
    sample_type: str
    """Of the references."""
    way: str
    prompting: str
    prompt_variant: str
    decoding: str
    trained_task: str | None = None
    trained_sample_type: str | None = None
    mix: str | None = None
    nb_samples: int | None = None
    config: str | None = None
    loss_computation: str | None = None

    @property
    def is_trained(self) -> bool:
        """Whether it is a kind of run, of which there is one for each seed."""
        return self.trained_task is not None

    @property
    def is_on_own_task(self) -> bool:
        """Whether the questions are of the task that it was trained for, if it was trained."""
        return self.trained_task in (None, self.task)


Members = Mapping[int, EvaluationKey]
"""The evaluations of a way by their training seed; one alone, under 0, if nothing was trained."""


def ways_of(predictions: pd.DataFrame) -> dict[Way, Members]:
    """The ways in a table of predictions, or of anything else with the columns of `AXES`, in order of appearance."""
    axes = predictions[AXES].drop_duplicates(MODEL)
    ways: dict[Way, dict[int, EvaluationKey]] = {}
    for row in axes.astype(object).where(axes.notna(), None).itertuples(index=False, name=None):
        key, trained, seed = row[: len(MODEL)], row[len(MODEL) : -1], row[-1]
        base_model, task, sample_type, run, *asked = key
        name = run if trained[0] is None else run.rpartition("__seed")[0] or run
        way = Way(base_model, task, sample_type, name, *asked, *trained)
        ways.setdefault(way, {})[0 if seed is None or trained[0] is None else int(seed)] = key
    return dict(ways)


def ways_of_evaluations(evaluations: Iterable[Evaluation]) -> dict[Way, Members]:
    """The ways that a grid will have, in its order."""
    ways: dict[Way, dict[int, EvaluationKey]] = {}
    for evaluation in evaluations:
        run = Run.parse(evaluation.run)
        name = evaluation.run if run is None else evaluation.run.rpartition("__seed")[0]
        trained = () if run is None else run[1:-1]
        # All but the split, which is the same for all.
        key = evaluation[:7]
        way = Way(*key[:3], name, *key[4:], *trained)
        ways.setdefault(way, {})[0 if run is None else run.seed] = key
    return dict(ways)


def base_of(way: Way) -> Way | None:
    """The base model of a way, asked alike on the same questions; None for base models themselves and what has none."""
    if way.way == BASE or way.base_model in (BASELINE, EXTERNAL):
        return None
    return Way(*way[:3], BASE, *way[4:7])


def compared_ways(ways: Iterable[Way]) -> list[Way]:
    """The ways that contrasts are about: all but trivial baselines, which stand beside them."""
    return [way for way in ways if way.base_model != BASELINE]
