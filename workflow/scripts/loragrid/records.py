"""The records that travel between stages as JSON lines, validated on read and on write."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loragrid.errors import DamagedError, UserError
from loragrid.runtime.files import written_whole
from loragrid.runtime.manifests import refuse_other_content, stated_about


class Record(BaseModel):
    """A line of a results file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def key(self) -> Hashable:
        """What a file holds only once; None if a file may hold it several times."""
        return None


class Turn(Record):
    """A turn of a conversation: an entry of an example's `messages`."""

    role: Literal["system", "user", "assistant", "tool"] = Field(description="Who speaks.")
    content: str = Field(description="What is said; empty only if tools are called.")
    tool_calls: list[dict[str, Any]] = Field(
        default=[],
        exclude_if=lambda calls: not calls,
        description="Tools that the assistant calls, as in OpenAI's format; arguments as a mapping. Absent if there are none.",
    )
    tool_call_id: str | None = Field(
        None, exclude_if=lambda id_: id_ is None, description="The call that a tool answers; absent if not told."
    )
    name: str | None = Field(None, exclude_if=lambda name: name is None, description="Name of the tool; absent if not told.")


class Example(Record):
    """One example of a data set or mix."""

    id: str = Field(description="Hash of the example's content.")
    task: str = Field(description="Task of the data set that the example comes from.")
    sample_type: str = Field(description="Sample type of this data set.")
    instruction: str = Field(description="What the model is asked to do.")
    input: str = Field(description="What the model is asked to do this with; may be empty.")
    output: str | list[str] = Field(description="The reference output, or several.")
    metadata: dict[str, str] = Field(default={}, description="Further fields, as configured.")
    prompts: list[str] = Field(
        default=[], description="For an example that needs several prompts: the text that takes the input's place in each prompt."
    )
    answers: Literal["one", "each", "joined"] = Field(
        "one",
        description="With several prompts: `each` has its own reference, at its place in `output`; or all share one (`joined`).",
    )
    messages: list[Turn] = Field(
        default=[],
        exclude_if=lambda turns: not turns,
        description="For a conversation: its turns before the answer, of which the prompt is made; absent else. "
        "`instruction` has the text of its system message, and `input` the other turns as one text.",
    )
    tools: list[dict[str, Any]] = Field(
        default=[],
        exclude_if=lambda tools: not tools,
        description="For a conversation: the tools that the chat template is told, in OpenAI's format; absent if there are none.",
    )

    @property
    def key(self) -> Hashable:
        return self.id

    @property
    def asked(self) -> list[str]:
        """The texts of the question, by which examples are told apart."""
        told = [[turn.model_dump() for turn in self.messages], self.tools]
        turns = [json.dumps(told, ensure_ascii=False, sort_keys=True)] if self.messages else []
        return [self.instruction, self.input, *self.prompts, *turns]

    @property
    def references(self) -> list[str]:
        """All reference outputs. If an example has several prompts and references, only the reference of the first prompt."""
        outputs = [self.output] if isinstance(self.output, str) else self.output
        return outputs[:1] if self.answers == "each" else outputs

    @property
    def parts(self) -> list[Example]:
        """The example, split into one for each prompt. With joined answers, each part has the reference of the whole."""
        if not self.prompts:
            return [self]
        outputs = self.output if self.answers == "each" else [self.output] * len(self.prompts)
        single = self.model_copy(update={"prompts": [], "answers": "one"})
        return [single.model_copy(update={"input": p, "output": o}) for p, o in zip(self.prompts, outputs, strict=True)]


FinishReason = Literal["stop", "length"]


ACCOUNT = ("queue_s", "compute_s", "runtime_s", "prompt_tokens", "new_tokens", "finish_reason", "batch_size")
"""What a prediction tells about how its answer came about."""


class Prediction(Record):
    """A model's answer to one test or validation example. If it has several prompts: lists with an entry for each prompt."""

    id: str = Field(description="Id of the example.")
    task: str = Field(description="Task that the model is evaluated on.")
    sample_type: str = Field(description="Sample type that the model is evaluated on.")
    base_model: str = Field(
        description=(
            "Name of the base model; `external` for external predictions that name none, `baseline` for trivial baselines."
        )
    )
    run: str = Field(
        description="Name of the run, or of external predictions, or of a trivial baseline; `base` for the base model itself."
    )
    trained_task: str | None = Field(
        None, description="Task that the run was trained on; null for `base` and external predictions, as are the next six."
    )
    trained_sample_type: str | None = Field(None, description="Sample type that the run was trained on.")
    mix: str | None = Field(None, description="Mix recipe.")
    nb_samples: int | None = Field(None, description="Examples of the target task in the mix.")
    config: str | None = Field(None, description="Training configuration.")
    loss_computation: str | None = Field(None, description="`completion` or `full`.")
    seed: int | None = Field(None, description="Value of the `seeds` axis.")
    prompting: str = Field("zero_shot", description="How the test example was turned into a prompt.")
    prompt_variant: str = Field("default", description="Prompt variant of the task.")
    decoding: str = Field("greedy", description="How the answer's tokens were chosen.")
    split: Literal["test", "validation"] = Field(
        "test",
        exclude_if=lambda split: split == "test",
        description="Split of the data set that the example is of; absent for test examples.",
    )
    sample: int = Field(0, description="Which of several answers to the same prompt.")
    answers: Literal["one", "each", "joined"] = Field("one", description="As in the example.")
    prompt: str | list[str] = Field(
        description="The prompt as the model got it, special tokens included; for external predictions as far as it is known."
    )
    prediction: str | list[str] = Field(description="The answer, without the end-of-turn token and without thoughts.")
    thoughts: str | list[str] | None = Field(
        None,
        exclude_if=lambda thoughts: thoughts is None,
        description="What the model thought before it answered; absent if nothing. If the answer is empty, the thoughts did not "
        "end, or nothing followed.",
    )
    reference: str | list[str] = Field(description="The reference output, or several, without thoughts.")
    queue_s: float | list[float] | None = Field(
        description="Seconds from the start of asking until it was its turn; null for external predictions, as are the next six."
    )
    compute_s: float | list[float] | None = Field(description="Seconds from its turn until the answer was there.")
    runtime_s: float | list[float] | None = Field(
        description="Its share of the computing: the seconds of its batch, divided by the batch size."
    )
    prompt_tokens: int | list[int] | None = Field(description="Tokens of the prompt.")
    new_tokens: int | list[int] | None = Field(description="Tokens generated, the end-of-turn token included.")
    finish_reason: FinishReason | list[FinishReason] | None = Field(
        description="`stop`: the model ended its turn; `length`: it was cut off."
    )
    batch_size: int | list[int] | None = Field(description="Prompts that were generated together.")
    engine: str = Field(description="Inference engine; `external` or `baseline` where none was asked.")
    engine_version: str = Field(description="Its version.")

    @property
    def answered(self) -> tuple[str, int]:
        """The id of the test example, and which of several answers to it this is."""
        return self.id, self.sample

    @property
    def key(self) -> Hashable:
        return self.answered

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The prediction's fields, once for each prompt, with the references of that prompt alone as a list."""
        fields = self.model_dump() | {"thoughts": self.thoughts}
        references = [self.reference] if isinstance(self.reference, str) else self.reference
        if self.answers == "one":
            return [fields | {"reference": references}]
        listed = ("prompt", "prediction", "thoughts", *ACCOUNT)
        return [
            fields
            | {name: None if fields[name] is None else fields[name][i] for name in listed}
            | {"reference": [references[i]] if self.answers == "each" else references}
            for i in range(len(fields["prompt"]))
        ]


class Score(Record):
    """One metric of one prediction."""

    # There are millions of rows: a default from a factory is made much faster than one that is copied.

    id: str = Field(description="Id of the example.")
    sample: int = Field(0, description="Which of several answers to the same prompt.")
    scorer: str = Field(description="Name of the scorer.")
    metric: str = Field(description="Name of the metric; a scorer may give several.")
    value: float | None = Field(description="The value; null if the scorer failed on this example.")
    status: str = Field(
        "ok", description="`ok`, or what went wrong. With a value: some of an example's parts failed, and how they count in it."
    )
    detail: str | None = Field(
        None,
        description=(
            "What the scorer read in the answer: a label, a verdict, a judge's words; in the first metric's "
            "row, as are the next three."
        ),
    )
    parts: dict[str, float] = Field(
        default_factory=dict,
        json_schema_extra={"default": {}},
        description="Counts from which a metric over all examples is made, or ratings by `criterion/annotator/row of the sheet`.",
    )
    truncated: list[Literal["prediction", "reference", "question"]] = Field(
        default_factory=list,
        json_schema_extra={"default": []},
        exclude_if=lambda texts: not texts,
        description="Texts that were too long for the model of the scorer, which read them in part; absent if none; in the first "
        "metric's row, as is the next.",
    )
    usage: dict[str, int] = Field(
        default_factory=dict,
        json_schema_extra={"default": {}},
        description="What a judge used when it was asked: `calls`, `prompt_tokens`, `new_tokens`; where answers in a "
        "file share a judgement, only the "
        "first has it.",
    )

    @property
    def key(self) -> Hashable:
        return *self.answered, self.metric

    @property
    def answered(self) -> tuple[str, int]:
        """As in the prediction that it is about."""
        return self.id, self.sample


class Likelihood(Record):
    """The log-probability of a text as the answer to one test or validation example, under the model that is evaluated."""

    id: str = Field(description="Id of the example.")
    part: int = Field(0, description="Which of the example's prompts, if it has several.")
    text: str = Field(description="The text: a reference, or a choice of a scorer.")
    is_reference: bool = Field(description="Whether it is a reference of the example.")
    prompt_tokens: int = Field(description="Tokens of the prompt: the text begins behind them.")
    token_ids: list[int] = Field(description="The tokens of the text, without an end of turn.")
    logprobs: list[float] = Field(
        description="The natural logarithm of the probability of each token of the text, given the prompt and the tokens before."
    )

    @property
    def key(self) -> Hashable:
        return self.id, self.part, self.text


class Export(Record):
    """A prediction beside its test example, in the manner of Alpaca. An example with several prompts comes once for each.
    In a CSV file beside it, texts that a spreadsheet could take for formulas have an apostrophe in front, also where spaces or
    unseen characters stand before the sign. A text that begins so by itself gets another: taking one away gives each text back.
    """

    instruction: str = Field(description="The instruction of the test example.")
    input: str = Field(description="Its input.")
    output: str | list[str] = Field(description="Its reference output, or several.")
    prediction: str = Field(description="The answer.")


class ProbedPassage(Record):
    """What a model makes of a passage of the text of `forgetting`."""

    bytes: int = Field(description="Bytes of the passage, in UTF-8.")
    tokens: int = Field(description="Its tokens; all of them are predicted.")
    loss: float = Field(description="Negative log-likelihood of the whole passage, in nats.")


class Probe(Record):
    """How well a model predicts the text of `forgetting`: one object a file."""

    passages: list[ProbedPassage] = Field(min_length=2, description="The passages of the text, in its order.")
    dtype: str = Field(description="Number type in which the model computed.")
    versions: dict[str, str] = Field(description="Versions of the packages that computed.")

    @property
    def loss(self) -> float:
        """The mean loss of a token, in nats."""
        return sum(one.loss for one in self.passages) / sum(one.tokens for one in self.passages)

    @property
    def bits_per_byte(self) -> float:
        """The loss of a byte, in bits, which does not depend on the tokenizer."""
        return sum(one.loss for one in self.passages) / sum(one.bytes for one in self.passages) / math.log(2)


RecordT = TypeVar("RecordT", bound=Record)


def content_hash(*parts: str) -> str:
    """A short hash of several texts: 16 hexadecimal digits of SHA-256 over their JSON list."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:16]


def parse_json_lines(
    path: str | Path, lines: Iterable[str], parse: Callable[[str], Any] = json.loads
) -> Iterator[tuple[int, Any]]:
    """The values of JSON lines with their line numbers; empty lines are skipped.

    Args:
        parse: gives the value of one line.

    Raises:
        UserError: naming `path` and the line, where a line is not JSON.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, parse(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}, line {number}: not valid JSON ({error.msg}, column {error.colno}).") from None


def read_records(path: str | Path, record: type[RecordT]) -> list[RecordT]:
    """All records of a JSONL file, which are as many, with the same content, as the manifest beside it says.

    Raises:
        DamagedError: naming the file and what is wrong: a line that is no such record, a record that is there twice, or another
            number or hash than in the manifest.
    """
    return list(iterate_records(path, record))


def iterate_records(path: str | Path, record: type[RecordT]) -> Iterator[RecordT]:
    """As `read_records`, one at a time. Number and hash are compared at the end."""
    stated, digest, seen = stated_about(path), hashlib.sha256(), dict[Hashable, int]()
    rows = 0
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            if stated and stated.sha256:
                digest.update(line)
            if line.strip():
                rows += 1
                yield _parse_record(path, number, line, record, seen)
    if stated and stated.rows not in (None, rows):
        raise DamagedError(path, f"it has {rows} rows, but {stated.manifest} says {stated.rows}")
    if stated and stated.sha256:
        refuse_other_content(Path(path), stated.sha256, stated.manifest, digest.hexdigest())
    if not rows and record is Prediction:
        raise DamagedError(path, "it has no rows, but there is at least one test example")


def _opened(path: str | Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except IsADirectoryError:
        raise DamagedError(path, "this is a folder, not a file with JSON lines") from None


def _parse_record(path: str | Path, number: int, line: bytes, record: type[RecordT], seen: dict[Hashable, int]) -> RecordT:
    """The record of a line.

    Args:
        seen: the lines of the records before it, by their keys. Its own is added.
    """
    kind = record.__name__.lower()
    try:
        parsed = record.model_validate(json.loads(line.decode()))
    except json.JSONDecodeError as error:
        raise DamagedError(path, f"not valid JSON ({error.msg}, column {error.colno})", line=number) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DamagedError(path, f"not a valid {kind} ({where or 'line'}: {first['msg'].lower()})", line=number) from None
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, f"not valid JSON ({type(error).__name__})", line=number) from None
    if (key := parsed.key) is not None and seen.setdefault(key, number) != number:
        raise DamagedError(path, f"the {kind} of line {seen[key]} is there again", line=number)
    return parsed


def write_records(path: str | Path, records: Iterable[Record]) -> None:
    """Write records as JSON lines, whole or not at all."""
    with written_whole(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record.model_dump(mode="json"), ensure_ascii=False) + "\n")


class Asked(Protocol):
    """An example, or an answer to one."""

    @property
    def instruction(self) -> str: ...

    @property
    def input(self) -> str: ...


def question(example: Asked) -> str:
    """Instruction and input of an example, or of an answer to it, as a person would put them."""
    return "\n\n".join(filter(None, [example.instruction, example.input]))
