"""What is chosen on validation data, and by what: a section of the configuration."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from loragrid.analysis.columns import Varied
from loragrid.sections import MANY, Section

VALIDATION_LOSS = "validation_loss"
"""In the place of a metric: the loss on the validation examples of a run's own mix, with the weights that the training kept."""

SETTING = "setting"
"""In the place of an axis: which setting of a config with a sweep. Ways of different configs do not compete then."""

Axis = Literal["base_model", Varied, "setting"]
"""An axis of a way, as its column in tables: all but the task, which nobody chooses, and the seed, of which a way has all."""

_CHOSEN_ELSEWHERE = {
    "checkpoint": "a training keeps one checkpoint, chosen by its validation loss with keep: best in configs; to choose "
    "between the last and the best weights, choose config, between one with keep: last and one with keep: best",
    "seed": "a way is trained with all of its seeds, and its result is their mean",
    "task": "a choice is made for each task",
    "sample_type": "a choice is made for each data set; trained_sample_type chooses what runs are trained on",
}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Selection(Section):
    """Ways are chosen by their results on validation data, and reported by their results on test data."""

    choose: Annotated[list[Axis], BeforeValidator(_as_list, json_schema_input_type=Axis | list[Axis])] = Field(
        min_length=1,
        description="The axes in which the ways differ between which is chosen, named as the columns of the tables. One way "
        "is chosen for each combination of all other axes. `setting` chooses one setting of each config with a `sweep`; `config` "
        "chooses among all settings of all configs. Checkpoints are chosen by `keep` in `configs`.",
    )
    by: Annotated[list[str], BeforeValidator(_as_list, json_schema_input_type=str | list[str])] = Field(
        min_length=1,
        description="What decides: a metric, as `scorer/metric`, for which the validation examples of the data set are answered "
        "and scored too; or `validation_loss`, which the trainings have computed. Of several, each makes a choice of its own.",
    )
    subset: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="How many validation examples of each data set are answered, chosen as in a task's `subset`; by default all.",
    )

    @field_validator("choose", mode="before")
    @classmethod
    def _axis_can_be_chosen(cls, value: Any) -> Any:
        for name in value if isinstance(value, list) else [value]:
            if isinstance(name, str) and name in _CHOSEN_ELSEWHERE:
                raise ValueError(f"'{name}' cannot be chosen here: {_CHOSEN_ELSEWHERE[name]}")
        return value

    @field_validator("choose")
    @classmethod
    def _settings_are_chosen_once(cls, names: list[str]) -> list[str]:
        if SETTING in names and "config" in names:
            raise ValueError("'config' chooses among all settings already; leave out one of 'config' and 'setting'")
        return names

    @field_validator("choose", "by")
    @classmethod
    def _nothing_stands_twice(cls, names: list[str]) -> list[str]:
        if again := [name for name, times in Counter(names).items() if times > 1]:
            raise ValueError(f"'{again[0]}' stands twice")
        return names

    @property
    def scorers(self) -> list[str]:
        """The names of the scorers that decide."""
        return list(dict.fromkeys(by.partition("/")[0] for by in self.by if by != VALIDATION_LOSS))
