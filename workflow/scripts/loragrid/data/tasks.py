"""Tasks: their sections of the configuration."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from loragrid.sections import LATER, MANY, Name, Section


class Cleaning(Section):
    """Which examples of a data set are dropped, besides those without question or output and repeated ones."""

    tokenizer: Name | None = Field(None, description="Base model whose tokenizer measures `min_tokens` and `max_tokens`.")
    min_tokens: int = Field(0, ge=0, description="Minimum number of tokens of instruction, input and output together.")
    max_tokens: int | None = Field(None, ge=1, description="Maximum number of tokens of instruction, input and output together.")
    keep_unanswerable: Annotated[bool, LATER] = Field(
        False,
        description="Keep examples whose reference outputs are all empty: questions whose right answer is an empty one, as the "
        "scorer `squad` expects it.",
    )
    near_duplicates: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Drop an example if its input (without input: its instruction) shares at least this part of its three-word "
        "sequences with that of a kept example (estimated Jaccard similarity; MinHash, Broder 1997). Sequences that most "
        "examples have do not count. Test examples are kept before validation and train. The manifest names the kept example.",
    )


class Fields(Section):
    """How a row of raw data becomes an example: Jinja templates over the fields of the row; `row` is the whole row."""

    source: Name | None = Field(None, description="Name of the data source, from `sources`.")
    instruction: str | None = Field(None, description="Template of the instruction; often just text.")
    input: str | None = Field(None, description="Template of the input.")
    output: str | None = Field(None, description="Template of the reference output.")
    outputs: str | None = Field(
        None,
        description="Instead of `output`: an expression that gives the list of reference outputs, for example `answers.text`. "
        "Empty ones count only if all are empty.",
    )
    prompts: str | None = Field(
        None,
        description="For examples that take several prompts: an expression that gives their list. Each takes the place of "
        "the input and gets an answer of its own.",
    )
    messages: Annotated[str | None, LATER] = Field(
        None,
        description="Instead of `instruction`, `input` and `output`: an expression that gives a conversation as a list of turns, "
        "each with `role` and `content` (and `tool_calls`), or with `from` and `value`. Its last turn, which has to be the "
        "assistant's, is the reference output; the prompt is made of all turns before it.",
    )
    tools: Annotated[str | None, LATER] = Field(
        None,
        description="With `messages`: an expression that gives the list of tools that the chat template is told.",
    )
    metadata: dict[str, str] | None = Field(None, description="Templates of further fields to keep with the example.")


class DataSetFields(Fields):
    """How the rows of one data set become examples, from the keys of the task and the sample type together."""

    answers: Literal["each", "joined"] = Field(description="How several prompts of an example are answered, as in `tasks`.")


class SampleType(Fields):
    """One provenance of reference outputs. Keys given here replace the task's keys."""


class PromptVariant(Section):
    """Another way to ask for the same. Keys that are not given stay as they are by default."""

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
    scorers: list[Name] = Field(min_length=1, description="The scorers of this task, from `scorers`.")
    metric: Annotated[str | None, LATER] = Field(
        None,
        description="The main metric of this task, as `scorer/metric`: what its verdicts, curves and summary are about. By "
        "default `report.metric`; if none of the task's scorers gives that, the first metric of its first scorer.",
    )
    answers: Literal["each", "joined"] = Field(
        "each",
        description="For examples with several prompts. `each`: every answer has its own reference, at its place in `outputs`, "
        "and a score is the mean over the answers. `joined`: the answers are joined line by line and scored as one.",
    )
    group_by: list[str] = Field(
        default=[], description="Keys of the metadata. Results are also shown for each of their values, for every scorer."
    )
    cluster_by: Annotated[str | None, LATER] = Field(
        None,
        description="A key of the metadata. Test examples with the same value are not independent, and count as one draw: "
        "questions about the same document, say. By default the key with the template of the source's `split.group`; without "
        "one, examples with the same input (or the same instruction, where there is no input) belong together.",
    )
    rule: str | None = Field(
        None,
        description="Template of an answer that a simple rule gives, over the example's `instruction`, `input` and "
        "`metadata`; a baseline.",
    )
    baselines: list[Baseline] | None = Field(
        None,
        description="Trivial baselines that are scored like models: the most frequent answer of the training examples "
        "(`majority`; if a scorer reads labels, an answer with the most frequent label), the `rule`, a `copy` of "
        "the input, its `first_sentence`, an `empty` answer, the answer of the `nearest` training example by the "
        "words of its question. By default all that apply.",
    )
    prompt_variants: dict[Name, PromptVariant] = Field(
        default={}, description="Prompt variants by name or number. `default` always exists and changes nothing."
    )
    max_new_tokens: int = Field(64, ge=1, le=MANY, description="Maximum length of an answer, in tokens.")
    min_new_tokens: Annotated[int | None, LATER] = Field(
        None, ge=1, le=MANY, description="Minimum length of an answer, in tokens; by default none."
    )
    subset: int | None = Field(
        None,
        ge=1,
        description="Predict only this many test examples: those with the smallest hash of instruction and input, so that "
        "every model, and every sample type with the same instruction, meets the same examples, and a larger subset contains a "
        "smaller one. Default: all.",
    )

    @model_validator(mode="after")
    def _shortest_is_not_longer_than_longest(self) -> Self:
        if self.min_new_tokens and self.min_new_tokens > self.max_new_tokens:
            raise ValueError(f"min_new_tokens is larger than max_new_tokens ({self.max_new_tokens})")
        return self

    def data_set(self, sample_type: str) -> DataSetFields:
        """The mapping for one sample type: the task's keys, replaced by the sample type's own."""
        own = self.sample_types[sample_type].model_dump(exclude_none=True)
        of_task = {key: getattr(self, key) for key in Fields.model_fields}
        if own.keys() & {"output", "outputs"}:
            of_task |= {"output": None, "outputs": None}
        return DataSetFields(**of_task | own, answers=self.answers)

    def has_prompt(self, prompt: str) -> bool:
        """Whether the task can be asked in this prompt variant."""
        return prompt == "default" or prompt in self.prompt_variants


def cluster_key(task: Task, sample_type: str, group: str | None) -> str | None:
    """The key of metadata that tells which examples are not independent.

    It is the task's `cluster_by`, or the key with the template by which a source keeps rows in one split; else None.

    Args:
        group: the template of the source.
    """
    if task.cluster_by is not None:
        return task.cluster_by
    metadata = task.data_set(sample_type).metadata or {}
    return next((key for key, template in metadata.items() if group is not None and template.split() == group.split()), None)
