"""All scorers: the classes in the files of `scoring/scorers`, and the type of a configured scorer."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from inspect import isabstract
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Field, TypeAdapter

from loragrid.scoring import scorers
from loragrid.scoring.scorer import Kind, ScorerSettings
from loragrid.sections import entry_of


def _find_scorers() -> dict[str, type[ScorerSettings]]:
    """The scorers in the files of the package, by their types."""
    by_type: dict[str, type[ScorerSettings]] = {}
    for file in pkgutil.iter_modules(scorers.__path__, f"{scorers.__name__}."):
        for value in vars(importlib.import_module(file.name)).values():
            if not isinstance(value, type) or not issubclass(value, ScorerSettings):
                continue
            # A file may import classes from the file of another scorer.
            if value.__module__ == file.name and not isabstract(value):
                [type_] = get_args(value.model_fields["type"].annotation)
                assert type_ not in by_type, f"two scorers have the type '{type_}'"
                by_type[type_] = value
    return by_type


SCORERS = _find_scorers()
"""The class of each scorer by its type."""


if TYPE_CHECKING:
    Scorer = ScorerSettings
else:
    Scorer = Annotated[reduce(or_, SCORERS.values()), Field(discriminator="type")]


def parse_scorer(values: Mapping[str, Any]) -> ScorerSettings:
    """A scorer from its configuration."""
    scorer: ScorerSettings = TypeAdapter(Scorer).validate_python(values)
    return scorer


def scorer_of(raw: Mapping[str, Any], name: str) -> ScorerSettings:
    """All settings of a scorer, from the configuration as YAML gave it; also settings that are no parameters of its rule."""
    return parse_scorer(entry_of(raw, "scorers", name))


def may_leave_out(scorer_type: str) -> bool:
    """Whether a type of scorer may have nothing to say about some answers."""
    return SCORERS[scorer_type].may_leave_out


def kind_of(scorer_type: str) -> Kind:
    """Who or what scores, for a type of scorer."""
    return SCORERS[scorer_type].kind


def has_corpus_metrics(scorer_type: str) -> bool:
    """Whether a type of scorer gives metrics over all examples together."""
    return bool(SCORERS[scorer_type].corpus_metrics)


def corpus_metrics(scorer_type: str, sums: Mapping[str, float]) -> dict[str, float]:
    """The metrics over all examples together that a type of scorer gives.

    Args:
        sums: the sums of the `parts` of all examples; without any, each metric is NaN.
    """
    return SCORERS[scorer_type].over_all(sums)


def label_of_task(scorers: Iterable[ScorerSettings]) -> Callable[[str], str]:
    """The label of an output, by the first scorer that reads labels; without such a scorer, the whole output."""
    return next((scorer.label_reader() for scorer in scorers if scorer.reads_labels), str)
