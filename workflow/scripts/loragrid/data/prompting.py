"""Demonstrations: training examples that a prompt shows before its question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from loragrid.data.decontamination import in_words, without_leaks
from loragrid.data.mixes import draw
from loragrid.data.render import Request, zero_shot
from loragrid.errors import UserError
from loragrid.records import Example, Turn
from loragrid.runtime.job import log
from loragrid.runtime.pretrained import load_sentence_transformer
from loragrid.runtime.templates import fill_template
from loragrid.sections import LATER, Name, OneOf, Section, StageSettings


def few_shot(tests: Sequence[Example], train: Sequence[Example], k: int, seed: int) -> dict[str, list[str]]:
    """The same `k` training examples for every test example, drawn by seed; by the test example's id."""
    chosen = [example.id for example in draw(train, k, seed)]
    return {test.id: chosen for test in tests}


def retrieved(tests: Sequence[Example], train: Sequence[Example], k: int, encoder_folder: Path) -> dict[str, list[str]]:
    """The `k` training examples whose questions are nearest to that of each test example, the nearest first.

    Nearness is the cosine similarity of sentence embeddings of the inputs (or, without input, of the instructions).
    """
    if not train:
        raise UserError("there are no training examples to show.")
    encoder = load_sentence_transformer(encoder_folder)

    def embed(examples: Sequence[Example]) -> Any:
        return encoder.encode(
            ["\n".join([e.input, *e.prompts]).strip() or e.instruction for e in examples],
            normalize_embeddings=True,
            show_progress_bar=True,
        )

    similarity = embed(tests) @ embed(train).T
    order = (-similarity).argsort(axis=1, kind="stable")[:, :k]
    return {test.id: [train[i].id for i in nearest] for test, nearest in zip(tests, order.tolist(), strict=True)}


def make_request(example: Example, instruction: str | None, demonstrations: Sequence[Example]) -> Request:
    """The request for a test example, or for one prompt of it.

    Args:
        instruction: a template over the example's `instruction`, `input` and `metadata`. It replaces the instruction of the
            example and of its demonstrations.
    """

    def reworded(one: Example) -> Example:
        if instruction is None:
            return one
        fields = {"instruction": one.instruction, "input": one.input, "metadata": one.metadata}
        try:
            return one.model_copy(update={"instruction": fill_template(instruction, fields)})
        except UserError as error:
            raise UserError(f"tasks.{one.task}.prompt_variants: the template of 'instruction' fails: {error}") from None

    if example.messages:
        return _showing_conversations(example, demonstrations)
    shown = tuple(reworded(demonstration.parts[0]) for demonstration in demonstrations)
    return zero_shot(reworded(example))._replace(demonstrations=shown)


def _showing_conversations(example: Example, demonstrations: Sequence[Example]) -> Request:
    """A conversation with others before it, of which only its own has a system message."""
    shown = [
        turn
        for one in demonstrations
        for turn in (*one.messages, Turn(role="assistant", content=one.references[0]))
        if turn.role != "system"
    ]
    systems = [turn for turn in example.messages if turn.role == "system"]
    own = [turn for turn in example.messages if turn.role != "system"]
    return zero_shot(example)._replace(turns=(*systems, *shown, *own))


class Prompting(Section):
    """How a test example is asked, and which training examples its prompt shows."""

    type: str

    @property
    def nb_shown(self) -> int:
        """How many training examples a prompt shows."""
        return 0

    times_changed: ClassVar[int] = 0
    """How often the examples that it chooses have changed for all data. Then they are chosen again."""

    @property
    def needed_encoder(self) -> str | None:
        """The name of the encoder that chooses them, if any."""
        return None

    def choose(self, tests: Sequence[Example], train: Sequence[Example], encoder_folder: Path | None) -> dict[str, list[str]]:
        """The ids of the training examples that prompts show, in their order, by the test example's id.

        Args:
            encoder_folder: of the sentence encoder, for a prompting that names one.
        """
        raise NotImplementedError


class ZeroShot(Prompting):
    """A prompt is the question alone."""

    type: Literal["zero_shot"] = Field(description="Chooses this prompting.")

    def choose(self, tests: Sequence[Example], train: Sequence[Example], encoder_folder: Path | None) -> dict[str, list[str]]:
        return {}


class Showing(Prompting):
    """A prompt shows training examples, but none that the test set holds too."""

    leaks_by_output: Annotated[bool, LATER] = Field(
        False,
        description="Never show examples with an output of five words or more that an example of the test set has too. By "
        "default, only those are left out that ask the question of a test example.",
    )

    if TYPE_CHECKING:
        # Each prompting of this kind has it after its type. A field of this class would come first in a rule's params.
        k: int

    @property
    def nb_shown(self) -> int:
        return self.k

    def choose(self, tests: Sequence[Example], train: Sequence[Example], encoder_folder: Path | None) -> dict[str, list[str]]:
        clean, left_out = without_leaks(train, tests, self.leaks_by_output)
        told = in_words(left_out.values(), len(train))
        if told:
            log.info("%s", told)
        try:
            return self.choose_among(clean, tests, encoder_folder)
        except UserError as error:
            raise UserError(f"demonstrations: {error} {told}." if told else f"demonstrations: {error}") from None

    def choose_among(
        self, train: Sequence[Example], tests: Sequence[Example], encoder_folder: Path | None
    ) -> dict[str, list[str]]:
        """As `choose`, among training examples that all can be shown."""
        raise NotImplementedError


class FewShot(Showing):
    """A prompt shows the same training examples with their answers before each question."""

    type: Literal["few_shot"] = Field(description="Chooses this prompting.")
    k: int = Field(ge=1, description="How many examples.")
    seed: int = Field(0, ge=0, description="Seed of their choice.")

    # 1: they are drawn by question.
    times_changed: ClassVar[int] = 1

    def choose_among(
        self, train: Sequence[Example], tests: Sequence[Example], encoder_folder: Path | None
    ) -> dict[str, list[str]]:
        return few_shot(tests, train, self.k, self.seed)


class Retrieved(Showing):
    """A prompt shows the training examples that are nearest to the question by sentence embedding, the nearest first."""

    type: Literal["retrieved"] = Field(description="Chooses this prompting.")
    k: int = Field(ge=1, description="How many examples.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")

    @property
    def needed_encoder(self) -> str:
        return self.encoder

    def choose_among(
        self, train: Sequence[Example], tests: Sequence[Example], encoder_folder: Path | None
    ) -> dict[str, list[str]]:
        assert encoder_folder is not None
        return retrieved(tests, train, self.k, encoder_folder)


AnyPrompting = Annotated[Prompting, OneOf("type")]
"""A prompting of one of the types."""


class DemonstrationSettings(StageSettings):
    """What a job that selects demonstrations is told."""

    prompting: AnyPrompting = Field(description="How they are chosen.")
