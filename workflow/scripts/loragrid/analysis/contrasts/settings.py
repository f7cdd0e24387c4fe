"""Which contrasts are asked for: a small language in the configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from loragrid.analysis.columns import Varied
from loragrid.sections import Section

Axis = Literal["training", "base_model", "trained_task", Varied]
"""In what two ways differ; `training`: a kind of run and its base model."""


AXES_OF_WAYS: tuple[str, ...] = tuple(axis for axis in get_args(Axis) if axis != "training")
"""The axes that are columns of the table of ways."""


Common = Literal["task", "sample_type", Axis]


FEWEST = "give at least two, or leave the key out for all"
"""What is expected of the values of an axis."""


def _in_a_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Values = Annotated[list[str], BeforeValidator(_in_a_list, json_schema_input_type=str | int | list[str | int])]


class Comparison(Section):
    """Contrasts along one axis: pairs of ways that differ in nothing else, on the same test questions."""

    axis: Axis = Field(
        description="In what both ways differ, named as the column of the tables: `training` (a kind of run and its base model), "
        "`config`, `nb_samples`, `mix`, `loss_computation`, `trained_sample_type`, `trained_task`, `base_model`, `prompting`, "
        "`prompt_variant` or `decoding`."
    )
    values: Values | None = Field(
        None, description="Only these values of the axis, at least two; each is compared with those before it. By default all."
    )
    against: str | None = Field(None, description="Compare each value of the axis with this one only.")
    across: Axis | None = Field(
        None,
        description="Another axis: how far a difference along `axis` differs between two values of this one (their interaction).",
    )
    slope: bool = Field(
        False,
        description="With `axis: nb_samples`: instead of pairs, the slope of the learning curve, which is the change of the mean "
        "with each doubling of `nb_samples`.",
    )
    where: dict[Common, Values] = Field(
        default={},
        description="Only contrasts of ways with these values in common, by column of the tables: a value or a list. `task` and "
        "`sample_type` are those of the test questions and references.",
    )
    metrics: Values | None = Field(
        None, description="As `scorer/metric`. By default the main metric of the task (`tasks.*.metric`, `report.metric`)."
    )
    over_tasks: bool = Field(
        False,
        description="The mean over all tasks that runs were trained for, each counting alike, is what is asked for; the "
        "contrasts of the single tasks are then exploratory. Sample types are compared with the largest `nb_samples` of a task.",
    )
    exploratory: bool = Field(
        False, description="Keep these contrasts out of the main family: they were not declared beforehand, or matter less."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        # A config may stand for several trainings.
        if self.values is not None and len(set(self.values)) < (1 if self.axis == "config" else 2):
            raise ValueError(f"values: {FEWEST}")
        if self.axis == "training" and (self.values or self.against or self.across):
            raise ValueError("axis: training compares with the base model; it takes no values, against or across")
        if self.across in ("training", self.axis):
            raise ValueError("across: expected another axis that has values")
        if self.over_tasks and (self.slope or self.across):
            raise ValueError("over_tasks: does not go with slope or across")
        if self.slope and (self.axis != "nb_samples" or self.across or self.against):
            raise ValueError("slope: needs 'axis: nb_samples', and takes no against or across")
        if self.axis in self.where or "training" in self.where:
            raise ValueError(f"where: both ways differ in {self.axis}; name its values under 'values'")
        return self
