"""How models are asked: the sections of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, TypeAdapter, model_validator

from loragrid.sections import Section, Server


class HfEngine(Section):
    """transformers and peft, in the job itself."""

    type: Literal["hf"] = Field(description="Chooses this engine.")
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Most tokens, of prompts and longest answers, that are worked on together: higher is faster and needs more memory. Where memory "
        "runs out, the job goes on with half as many. Default: 16384 on a CPU, 65536 on a GPU.",
    )


class VllmEngine(Section):
    """vLLM, in a process that the job starts; adapters are LoRA requests beside the one base model."""

    type: Literal["vllm"] = Field(description="Chooses this engine.")
    python: str | None = Field(
        None,
        description="Python interpreter of an environment that has vLLM, for example `.venv-vllm/bin/python`; by default the one that runs the job.",
    )
    settings: dict[str, Any] = Field(
        default={}, description="Further arguments of `vllm.LLM`, for example `gpu_memory_utilization` or `max_num_seqs`."
    )


class OpenAiEngine(Server):
    """A server with an OpenAI-compatible API: vLLM, llama.cpp, Ollama, TGI, `transformers serve`, or a hosted one."""

    type: Literal["openai"] = Field(description="Chooses this engine.")
    model: str | None = Field(None, description="The model's name on the server; by default its name here.")
    api: Literal["completions", "chat"] = Field(
        "completions",
        description="`completions`: the server gets the prompt as it was rendered here, so that it is asked as it was trained; `chat`: it gets messages and "
        "writes the prompt by itself, as hosted models demand.",
    )
    send: Literal["text", "token_ids"] = Field(
        "text",
        description="With `completions`: prompts are sent as text, which the server tokenises once more, or as token ids, which vLLM and llama.cpp "
        "take; these leave no doubt.",
    )
    load_adapters: bool = Field(
        False,
        description="Have the server load a run's adapter before it is asked, and unload it afterwards (vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, on "
        "the same file system). Without it only base models can be asked.",
    )


Engine = Annotated[HfEngine | VllmEngine | OpenAiEngine, Field(discriminator="type")]


def parse_engine(values: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of an engine, from what its configuration says."""
    settings: dict[str, Any] = TypeAdapter(Engine).validate_python(values).model_dump()
    return settings


def engine_of(raw: Mapping[str, Any], base_model: str) -> dict[str, Any]:
    """All settings of a model's engine, from the configuration as YAML gave it."""
    models = {str(name): model for name, model in raw["models"].items()}
    return parse_engine(models[base_model].get("engine") or {"type": "hf"})


class Generation(Section):
    """Settings of generation that are a matter of the model."""

    max_new_tokens: int | None = Field(None, ge=1, description="Longest answer, in tokens; by default the task's.")
    min_new_tokens: int | None = Field(None, ge=1, description="Shortest answer, in tokens.")
    repetition_penalty: float | None = Field(
        None,
        gt=0,
        description="Tokens of prompt and answer become less likely by this factor (Keskar et al. 2019, arXiv:1909.05858).",
    )
    stop: list[Annotated[str, StringConstraints(min_length=1)]] | None = Field(
        None, description="Texts that end an answer; it is cut before them."
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Sample from the likeliest tokens that together have this probability (Holtzman et al. 2020).",
    )
    top_k: int | None = Field(None, ge=1, description="Sample from so many of the likeliest tokens.")

    @model_validator(mode="after")
    def _shortest_is_not_longer_than_longest(self) -> Self:
        if self.min_new_tokens and self.max_new_tokens and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens is larger than max_new_tokens ({self.max_new_tokens})")
        return self


class DecodingEntry(Generation):
    """A way to choose the tokens of an answer. By default always the likeliest (greedy)."""

    temperature: float = Field(
        0, ge=0, description="0: greedy; else tokens are drawn, from probabilities that 1 leaves as they are."
    )
    samples: int = Field(
        1, ge=1, description="Answers to each prompt; each is scored, and an example's score is the mean over them."
    )
    seed: int = Field(0, ge=0, description="Another seed draws other answers.")
    latency: bool = Field(
        False, description="Answer one prompt at a time, so that the run times are those that one user would see. Slow."
    )

    @model_validator(mode="after")
    def _sampling_is_meant(self) -> Self:
        if not self.temperature and (self.top_p is not None or self.top_k is not None or self.samples > 1):
            raise ValueError("top_p, top_k and samples need a temperature above 0")
        return self
