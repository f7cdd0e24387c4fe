"""Rubrics: what a judge is asked, and in what form it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from loragrid.errors import UserError
from loragrid.runtime.templates import NoNumberError, evaluate_expression, syntax_error
from loragrid.runtime.yaml_files import load_yaml
from loragrid.sections import Name, Section

FOLDER = Path("data/prompts/judges")


Against = Literal["reference", "base"]
"""What a pairwise rubric compares an answer with."""


class Range(Section):
    """A number that a judge should give."""

    minimum: float = Field(description="The worst.")
    maximum: float = Field(description="The best.")
    description: str = Field("", description="What the number means, for the judge.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if self.minimum >= self.maximum:
            raise ValueError("expected minimum < maximum")
        return self


class Rubric(Section):
    """What a judge is asked.

    Templates are given `instruction`, `input`, `metadata`, `reference` (several are joined, one per line), `references` (as a
    list) and `prediction`. Pairwise templates get `first` and `second` instead of the last three. `mark` is a word that none of
    these texts can contain: the text between two marks is text to judge, whatever it says.
    """

    system: str | None = Field(None, description="System message.")
    prompt: str = Field(
        description="Template of the message. The form of the judge's answer is added at its end by itself, from the scores "
        "below."
    )
    scores: dict[Name, Range] = Field(default={}, description="The numbers that it gives.")
    derived: dict[Name, str] = Field(default={}, description="Further metrics: expressions over these numbers.")
    pairwise: bool = Field(
        False,
        description="Instead of numbers, the judge says which of two answers is better. It is asked in both orders; a "
        "contradiction is a tie.",
    )

    @model_validator(mode="after")
    def _is_sound(self) -> Rubric:
        if bool(self.scores) == self.pairwise:
            raise ValueError("expected scores, or pairwise: true")
        templates = {"prompt": self.prompt} | {
            f"derived.{key}": f"{{{{ {expression} }}}}" for key, expression in self.derived.items()
        }
        for key, template in templates.items():
            if problem := syntax_error(template):
                raise ValueError(f"{key} is not a valid template: {problem}")
        plain: dict[str, str] = {}
        for name in self.scores:
            if (other := plain.setdefault(name.replace("_", "").replace(".", "").replace("-", "").casefold(), name)) != name:
                raise ValueError(f"the scores '{other}' and '{name}' cannot be told apart in a judge's answer")
        if both := self.scores.keys() & self.derived.keys():
            raise ValueError(f"'{min(both)}' is a score and derived as well")
        best = {name: range_.maximum for name, range_ in self.scores.items()}
        for key, expression in self.derived.items():
            try:
                derive(expression, best)
            except UserError as error:
                raise ValueError(f"derived.{key}: {error}") from None
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that it gives."""
        return ("win",) if self.pairwise else (*self.scores, *self.derived)


def derive(expression: str, scores: Mapping[str, float]) -> float:
    """The value of an expression over scores; NaN if it has none, as in a division by zero.

    Raises:
        UserError: if it names something that is no score, or gives no number.
    """
    try:
        value = evaluate_expression(expression, scores)
    except NoNumberError:
        return math.nan
    if not isinstance(value, int | float):
        raise UserError(f"'{expression}' gives no number.")
    return float(value)


@cache
def read_rubric(name: str) -> Rubric:
    """A rubric by its name.

    Raises:
        UserError: naming the file, if it is missing or not a rubric.
    """
    path = FOLDER / f"{name}.yaml"
    try:
        return Rubric.model_validate(load_yaml(path))
    except OSError:
        rubrics = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise UserError(f"there is no rubric '{path}'; known: {rubrics or 'none'}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "rubric"
        raise UserError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}.") from None
