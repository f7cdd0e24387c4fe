"""Training sets drawn from data sets."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from loragrid.data.decontamination import LEAKY_PARTS, in_words, read_leaks
from loragrid.data.questions import asked
from loragrid.data.splitting import prompt_key
from loragrid.errors import UserError
from loragrid.records import Example, content_hash, read_records, write_records
from loragrid.runtime.files import file_sha256, write_json
from loragrid.runtime.job import MENDED, log
from loragrid.sections import LATER, Name, OneOf, Section, StageSettings, decisive
from loragrid.text.words import some_of


def draw(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Draw `size` examples without replacement, question by question.

    The place of a question in the draw is the hash of seed and question. So sample types of a task give the same questions, a
    larger draw with the same seed contains a smaller one, and questions that are added later take places between the others. An
    example whose question has been drawn already comes after all other questions.

    Raises:
        UserError: if there are fewer than `size`.
    """
    if size > len(examples):
        raise UserError(f"{size} examples are asked for, but there are only {len(examples)}.")
    if size == len(examples):
        # Nothing is chosen. The order is that of earlier versions, so that their results stay valid.
        return sorted(examples, key=lambda example: content_hash(str(seed), example.id))
    of_question: dict[str, list[Example]] = {}
    for example in examples:
        of_question.setdefault(asked(example), []).append(example)
    placed = []
    for question, equal in of_question.items():
        place = content_hash(str(seed), question)
        if len(equal) > 1:
            equal.sort(key=lambda one: (content_hash(str(seed), prompt_key(one)), content_hash(str(seed), one.id)))
        placed += [(turn, place, example) for turn, example in enumerate(equal)]
    return [example for *_, example in sorted(placed, key=lambda one: one[:2])[:size]]


def share_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that add up to `total`, in proportion to the weights (largest remainders)."""
    sum_of_weights = sum(weights.values())
    if not sum_of_weights:
        return dict.fromkeys(weights, 0)
    exact = {name: total * weight / sum_of_weights for name, weight in weights.items()}
    shares = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: shares[name] - exact[name])
    for name in by_remainder[: total - sum(shares.values())]:
        shares[name] += 1
    return shares


class Mix(Section):
    """A recipe by which a training set is drawn from data sets."""

    tasks_key: ClassVar[str] = ""
    """The key under which the recipe names tasks."""

    recipe: str
    leaks_by_output: Annotated[bool, LATER] = Field(
        False,
        description="Leave out also examples with an output of five words or more that a test example of the grid has too. By "
        "default, only those go that ask the question of a test example. Canned answers are the same in many examples.",
    )

    if TYPE_CHECKING:
        # Every recipe has it as its last field. A field of this class would come first in a rule's params.
        nb_validation: int

    @property
    def named_tasks(self) -> list[str]:
        """The tasks that the recipe names; the target task may be one of them."""
        raise NotImplementedError

    def other_sizes(self, target: str, available: Mapping[str, int]) -> dict[str, int]:
        """How many training examples the mix takes from each task other than its target.

        Args:
            target: the target task.
            available: training examples of each task.
        """
        raise NotImplementedError

    def sizes(self, target: str, nb_samples: int, available: Mapping[str, int]) -> dict[str, int]:
        """How many training examples the mix takes from each task, its target first."""
        return {target: nb_samples} | self.other_sizes(target, available)

    def is_drawn(self, nb_samples: int) -> bool:
        """Whether the mix takes some of the examples that there are, and not all of them or none."""
        return nb_samples > 0 or self.nb_validation > 0


class TargetOnly(Mix):
    """Examples of the target data set alone."""

    recipe: Literal["target_only"] = Field(description="Chooses this recipe.")
    nb_validation: int = Field(16, ge=0, description="Maximum number of validation examples in the mix; 0: no validation loss.")

    @property
    def named_tasks(self) -> list[str]:
        return []

    def other_sizes(self, target: str, available: Mapping[str, int]) -> dict[str, int]:
        return {}


class Fractional(Mix):
    """`nb_samples` examples of the target task, among the examples of the other tasks."""

    tasks_key: ClassVar[str] = "tasks"

    recipe: Literal["fractional"] = Field(description="Chooses this recipe.")
    tasks: list[Name] = Field(
        min_length=2,
        description="The tasks of the mix. All but the target task are the others; their sample type is the target's.",
    )
    nb_others: int | None = Field(None, ge=1, description="Examples of each other task; by default all there are.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )

    @property
    def named_tasks(self) -> list[str]:
        return self.tasks

    def other_sizes(self, target: str, available: Mapping[str, int]) -> dict[str, int]:
        others = [name for name in self.tasks if name != target]
        return {name: available[name] if self.nb_others is None else self.nb_others for name in others}

    def is_drawn(self, nb_samples: int) -> bool:
        return self.nb_others is not None or super().is_drawn(nb_samples)


class Weighted(Mix):
    """`nb_samples` examples of the target task, and a number of others shared out by weight."""

    tasks_key: ClassVar[str] = "weights"

    recipe: Literal["weighted"] = Field(description="Chooses this recipe.")
    weights: dict[Name, Annotated[float, Field(gt=0, le=1e9)]] = Field(
        min_length=1,
        description="Weight of each task; that of the target task itself is left out. Their sample type is the target's.",
    )
    nb_others: int = Field(ge=1, description="Examples of the other tasks together.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )

    @property
    def named_tasks(self) -> list[str]:
        return list(self.weights)

    def other_sizes(self, target: str, available: Mapping[str, int]) -> dict[str, int]:
        return share_out(self.nb_others, {name: weight for name, weight in self.weights.items() if name != target})

    def is_drawn(self, nb_samples: int) -> bool:
        return True


AnyMix = Annotated[Mix, OneOf("recipe")]
"""A mix of one of the recipes."""


def make_mix(
    recipe: Mix,
    target: str,
    nb_samples: int,
    train: Mapping[str, Sequence[Example]],
    validation: Mapping[str, Sequence[Example]],
    seed: int,
    left_out: Mapping[str, str] | None = None,
) -> tuple[list[Example], list[Example]]:
    """Draw the training and the validation part of a mix.

    The validation part has at most `nb_validation` examples, shared out among the tasks as the training part is.

    Args:
        train, validation: the examples of each task that can be drawn.
        left_out: for each task a sentence on the training examples that cannot be drawn.

    Raises:
        UserError: naming the task that has too few examples.
    """
    sizes = recipe.sizes(target, nb_samples, {task: len(examples) for task, examples in train.items()})
    chosen: list[Example] = []
    for task, size in sizes.items():
        why = f" {told}" if (told := (left_out or {}).get(task)) else ""
        if task != target and not train[task]:
            raise UserError(f"training examples of task '{task}': there are none to draw from.{why}")
        try:
            chosen += draw(train[task], size, seed)
        except UserError as error:
            raise UserError(f"training examples of task '{task}': {error}{why}") from None
    held_out: list[Example] = []
    for task, size in share_out(recipe.nb_validation, sizes).items():
        held_out += draw(validation[task], min(size, len(validation[task])), seed)
    return chosen, held_out


class MixSettings(StageSettings):
    """What a job that makes a mix is told."""

    tasks: list[str] = Field(description="The tasks that it draws from, its target first.")
    recipe: AnyMix = Field(description="How it draws.")


def write_mix(
    settings: MixSettings,
    wildcards: Mapping[str, str],
    data: Mapping[str, Sequence[str]],
    leaks: Sequence[str],
    outputs: Mapping[str, str],
) -> None:
    """Draw a mix from data sets, without the examples that a test set holds too, and write it with its manifest.

    Args:
        wildcards: which mix: `task`, `sample_type`, `mix`, `nb_samples` and `mix_seed`.
        data: the parts `train` and `validation` of each task's data set.
        leaks: for each task the file that lists which examples of its data set are in a test set.
        outputs: the files `train`, `validation` and `manifest`.

    Raises:
        UserError: naming the task that has too few examples.
    """
    target, nb_samples, seed = wildcards["task"], int(wildcards["nb_samples"]), int(wildcards["mix_seed"])
    left_out: dict[str, dict[str, dict[str, str]]] = {part: {} for part in LEAKY_PARTS}
    clean: dict[str, dict[str, list[Example]]] = {part: {} for part in LEAKY_PARTS}
    sentences: dict[str, str] = {}
    for i, task in enumerate(settings.tasks):
        for part, in_tests in read_leaks(leaks[i]).items():
            examples, gone = read_records(data[part][i], Example), in_tests.left_out(settings.recipe.leaks_by_output)
            clean[part][task] = [example for example in examples if example.id not in gone]
            left_out[part][task] = gone
            if told := in_words(gone.values(), len(examples)):
                told += f": {some_of(in_tests.names(settings.recipe.leaks_by_output))}; {leaks[i]} lists them."
                log.info("%s, %s: %s", task, part, told)
                sentences |= {task: told} if part == "train" else {}
    train, validation = make_mix(settings.recipe, target, nb_samples, clean["train"], clean["validation"], seed, sentences)
    write_records(outputs["train"], train)
    write_records(outputs["validation"], validation)
    write_json(
        outputs["manifest"],
        {
            "task": target,
            "sample_type": wildcards["sample_type"],
            "mix": wildcards["mix"],
            "recipe": decisive(settings.recipe),
            "nb_samples": nb_samples,
            "mix_seed": seed,
            "stage_version": settings.version,
            "mended": MENDED,
            "examples": {"train": Counter(e.task for e in train), "validation": Counter(e.task for e in validation)},
            "left_out_because_tested": {
                part: {task: sorted(gone) for task, gone in of_part.items()} for part, of_part in left_out.items()
            },
            **_why_left_out(left_out),
            "sha256": {part: file_sha256(outputs[part]) for part in ("train", "validation")},
        },
    )
    log.info("%d training and %d validation examples", len(train), len(validation))


def _why_left_out(left_out: Mapping[str, Mapping[str, Mapping[str, str]]]) -> dict[str, Any]:
    """The entry of a mix's manifest that counts the reasons for which examples are left out; none if all are drawn from."""
    why = {
        part: counts
        for part, of_part in left_out.items()
        if (counts := {task: dict(Counter(gone.values())) for task, gone in of_part.items() if gone})
    }
    return {"why_left_out": why} if why else {}
