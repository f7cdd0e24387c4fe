"""Base models, encoders and reward models, and the resources that their jobs ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from loragrid.data.chat import PASSED_ALREADY
from loragrid.inference.registry import DEFAULT_ENGINE, AnyEngine
from loragrid.inference.settings import Generation
from loragrid.models.sources import AnyModelSource, Quantization
from loragrid.sections import MANY, Price, Section


class JobResources(Section):
    """The resources that one job asks of a cluster, or of `--resources`.

    In a queue, memory and time grow with every attempt: the second one gets twice as much.
    """

    mem_mb: int | None = Field(None, ge=1, le=MANY, description="Memory of the machine, in MB.")
    runtime: int | None = Field(None, ge=1, le=MANY, description="Time limit in minutes, on a cluster.")
    gpu: int | None = Field(None, ge=0, le=MANY, description="Number of GPUs.")
    gpu_model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.]+$", description="Model of the GPU, as the cluster names it, for example `a100`; needs gpu."
    )

    @model_validator(mode="after")
    def _model_is_of_a_gpu(self) -> Self:
        if self.gpu_model is not None and not self.gpu:
            raise ValueError("gpu_model needs gpu: how many of them")
        return self


class ScorerModelResources(Section):
    """What jobs that load a model of a scorer ask for, by stage. If nothing is said, the rule's own values hold."""

    import_model: JobResources = Field(default=JobResources(), description="Importing the model.")
    score: JobResources = Field(default=JobResources(), description="Scoring, or selecting demonstrations, with the model.")


class ModelResources(ScorerModelResources):
    """What jobs that load a base model ask for, by stage. If nothing is said, the rule's own values hold."""

    import_model: JobResources = Field(default=JobResources(), description="Importing the model, and merging an adapter into it.")
    train: JobResources = Field(default=JobResources(), description="Training on the model.")
    predict: JobResources = Field(default=JobResources(), description="Predictions, likelihoods, checks and probes.")
    score: JobResources = Field(default=JobResources(), description="Scoring with the model.")


class BaseModelEntry(Section):
    """A pretrained causal language model."""

    source: AnyModelSource | None = Field(
        None,
        description="Where the model comes from: a package, a path, a hub repository, or a run to merge. A model that only a "
        "server has (engine `openai` with `api: chat`) needs none; it cannot be trained.",
    )
    engine: AnyEngine = Field(default=DEFAULT_ENGINE, description="The engine that answers with this model and its adapters.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number type for training and prediction; `auto`: bfloat16 on a device with matrix instructions for it, "
        "else float32. float16 is for prediction only.",
    )
    prompt_format: str = Field(
        "auto",
        description="How instruction and input become a prompt: `chat` (the tokenizer's chat template), or the name of a Jinja "
        "template under `data/prompts/` (`plain`, `alpaca`, `alpaca_short` or your own); `auto`: chat if the tokenizer has a "
        "template, else plain.",
    )
    chat_template: str | None = Field(
        None, description="File with a chat template (Jinja, over `messages`) that replaces the tokenizer's own."
    )
    chat_template_arguments: dict[str, Any] = Field(
        default={},
        description="What the chat template is told besides the conversation, as `{enable_thinking: false}`; each template reads "
        "others.",
    )
    system_prompt: str | None = Field(
        None,
        description="System message; by default the one in the chat template, if any. A chat template without a system turn has "
        "it before the first question. Another template has to show it as `system_prompt`.",
    )
    quantization: Quantization = Field(
        "none",
        description="Number type of the weights wherever the model is used, where the package bitsandbytes and the device "
        "allow it: `4bit` (NF4) or `8bit`. Weights that are stored quantized (GPTQ, AWQ, bitsandbytes, …) are "
        "used as they are, with the package that transformers asks for.",
    )
    context_length: int | None = Field(
        None,
        ge=16,
        le=MANY,
        description="Maximum length of prompt and answer together, in tokens; by default as in the model's own configuration.",
    )
    generation: Generation = Field(
        default=Generation(),
        description="Settings of this model's answers, if a decoding leaves them open. They take precedence over the task's.",
    )
    price: Price | None = Field(None, description="Price of the model, for the report.")
    resources: ModelResources = Field(
        default=ModelResources(),
        description="Memory, time and GPUs of the jobs that load the model, if the rules' own values do not suit.",
    )

    @field_validator("chat_template_arguments")
    @classmethod
    def _arguments_are_the_templates_own(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(PASSED_ALREADY & set(arguments)):
            raise ValueError(f"'{taken[0]}' is no argument of a template; it is given by the workflow itself")
        for name, value in arguments.items():
            for inner in _inner_values(value):
                if isinstance(inner, date):
                    raise ValueError(f"{name}: expected text, not the date {inner}; put it in quotes if it is text")
                if isinstance(inner, str) and inner.casefold() in ("true", "false"):
                    raise ValueError(f"{name}: '{inner}' is text, and any text counts as true; write it without quotes")
        return arguments

    @model_validator(mode="after")
    def _arguments_reach_a_template(self) -> Self:
        if self.chat_template_arguments and not self.engine.needs_source:
            raise ValueError("chat_template_arguments: the server writes the prompts; see engine.settings.chat_template_kwargs")
        if self.chat_template_arguments and self.prompt_format not in ("auto", "chat"):
            raise ValueError(f"chat_template_arguments: prompts are written with the template '{self.prompt_format}'")
        return self

    @model_validator(mode="after")
    def _source_is_there_if_needed(self) -> Self:
        if self.source is None and self.engine.needs_source:
            raise ValueError("source is missing; only a model behind a server with api: chat needs none")
        return self


def _inner_values(value: Any) -> Iterator[Any]:
    """A value, or all values in a list or mapping."""
    if isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _inner_values(inner)
    else:
        yield value


class Encoder(Section):
    """A sentence encoder, used by scorers."""

    source: AnyModelSource = Field(description="Where the encoder comes from: a package, a path or a hub repository.")
    resources: ScorerModelResources = Field(
        default=ScorerModelResources(), description="Memory, time and GPUs of the jobs that load the encoder."
    )


class RewardModel(Section):
    """A reward model: any sequence classifier in the layout of transformers, used by scorers."""

    source: AnyModelSource = Field(description="Where the model comes from: a package, a path or a hub repository.")
    resources: ScorerModelResources = Field(
        default=ScorerModelResources(), description="Memory, time and GPUs of the jobs that load the model."
    )
