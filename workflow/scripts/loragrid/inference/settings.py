"""How models are asked and checked: sections of the configuration, and the settings of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from loragrid.data.prompting import AnyPrompting
from loragrid.data.render import ModelSettings
from loragrid.inference.protocol import Decoding
from loragrid.inference.registry import AnyEngine
from loragrid.models.sources import Quantization
from loragrid.sections import MANY, Section, StageSettings

NonEmpty = Annotated[str, StringConstraints(min_length=1)]


Pair = Annotated[list[NonEmpty], Field(min_length=2, max_length=2)]


class Generation(Section):
    """Settings of generation that a model may have of its own."""

    max_new_tokens: int | None = Field(
        None, ge=1, le=MANY, description="Maximum length of an answer, in tokens; by default the task's."
    )
    min_new_tokens: int | None = Field(None, ge=1, le=MANY, description="Minimum length of an answer, in tokens.")
    repetition_penalty: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Tokens of prompt and answer become less likely by this factor (Keskar et al. 2019, arXiv:1909.05858).",
    )
    stop: list[NonEmpty] | None = Field(None, description="Texts that end an answer; it is cut before them.")
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Sample from the likeliest tokens that together have this probability (Holtzman et al. 2020).",
    )
    top_k: int | None = Field(None, ge=1, le=MANY, description="Sample from this many of the likeliest tokens.")
    thought_marks: list[Pair] | None = Field(
        None,
        description="Pairs of texts that open and close a thought: an answer is what follows. Default: `<think>` and "
        "`</think>`, and others in common use (guide.md). An empty list: thoughts are not told apart.",
    )

    @model_validator(mode="after")
    def _shortest_is_not_longer_than_longest(self) -> Self:
        if self.min_new_tokens and self.max_new_tokens and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens is larger than max_new_tokens ({self.max_new_tokens})")
        return self


class DecodingEntry(Generation):
    """A way to choose the tokens of an answer. By default it is always the likeliest token (greedy)."""

    temperature: float = Field(
        0, ge=0, le=1000, description="0: greedy; else tokens are drawn. 1 leaves the probabilities as they are."
    )
    samples: int = Field(
        1, ge=1, le=100_000, description="Answers to each prompt; each is scored, and an example's score is the mean over them."
    )
    seed: int = Field(0, ge=0, description="Another seed draws other answers.")
    latency: bool = Field(
        False, description="Answer one prompt at a time, so that run times are as a single user would see them. Slow."
    )

    @model_validator(mode="after")
    def _sampling_is_meant(self) -> Self:
        if not self.temperature and (self.top_p is not None or self.top_k is not None or self.samples > 1):
            raise ValueError("top_p, top_k and samples need a temperature above 0")
        return self


class Checks(Section):
    """The generation check that every model goes through."""

    examples: int = Field(2, ge=1, le=MANY, description="Test examples per model.")
    max_new_tokens: int = Field(16, ge=1, le=MANY, description="Tokens generated per example.")
    compare_engines: bool = Field(
        True,
        description="For other engines than `hf`: compare their answers with the answers of `hf`. The check then loads the "
        "model. In float32 the answers must be the same; for servers only if the model's `dtype` says float32.",
    )


class AskedModel(ModelSettings):
    """The settings of a base model that decide what it answers."""

    engine: AnyEngine = Field(description="What answers prompts.")
    context_length: int | None = Field(
        None, description="Maximum length of prompt and answer together, in tokens; None: as the model says."
    )


class PredictSettings(StageSettings):
    """What a job that predicts is told."""

    axes: dict[str, str | int] = Field(
        description="What every prediction says about the model and the data that it is evaluated on."
    )
    model: AskedModel = Field(description="How the base model is asked.")
    quantization: Quantization = Field(description="Number type of the weights.")
    prompting: AnyPrompting = Field(description="What prompts show before the question.")
    instruction: str | None = Field(description="Template of an instruction in place of the examples' own.")
    # Whole numbers stay whole even where a fraction is possible: the names of journals and manifests depend on it.
    decoding: dict[str, Any] = Field(description="How the tokens of an answer are chosen: arguments of `Decoding`.")
    subset: int | None = Field(description="How many test examples are asked; None: all.")

    @property
    def how(self) -> Decoding:
        """The decoding with its defaults."""
        return Decoding(**self.decoding)


class CheckSettings(StageSettings):
    """What a job that checks a model is told."""

    model: AskedModel = Field(description="How the base model is asked.")
    quantization: Quantization = Field(description="Number type of the weights.")
    checks: Checks = Field(description="How much is checked.")
