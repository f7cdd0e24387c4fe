"""Blocks of the grid, predictions from elsewhere, what the report shows, and which results stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from loragrid.analysis.contrasts.settings import Comparison
from loragrid.analysis.main_table.settings import MainTable
from loragrid.data.external import Match, Matching, PromptAndReference
from loragrid.sections import MANY, Name, NonNegative, Section, Seed


class EvaluatedOn(Section):
    """The test sets on which the runs of a block and their base models are evaluated: tasks, and whose references."""

    tasks: Literal["same", "all"] | list[str] = Field(
        "same",
        description="Further tasks: `same`, none; `all`, every task of the grid that has the sample type and the prompt variant; "
        "or a list.",
    )
    sample_types: Literal["same"] | list[Name] = Field(
        "same",
        description="Sample types of the references: `same`, the one that a run is trained on; or a list, for all runs. Runs of "
        "different sample types can be compared only on the same references.",
    )

    @field_validator("tasks", mode="before")
    @classmethod
    def _tasks_are_a_word_or_a_list(cls, value: Any) -> Any:
        if value not in ("same", "all") and not _is_list_of_names(value):
            raise ValueError("expected same, all or a list of tasks")
        return value

    @field_validator("sample_types", mode="before")
    @classmethod
    def _sample_types_are_a_word_or_a_list(cls, value: Any) -> Any:
        if value != "same" and not (_is_list_of_names(value) and value):
            raise ValueError("expected same or a list of sample types")
        return value


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str | int) for name in value)


def _with_its_key(value: Any) -> Any:
    """What `evaluate_on` says, as a mapping. Tasks alone may stand there without their key."""
    if isinstance(value, Mapping | EvaluatedOn):
        return value
    if value not in ("same", "all") and not _is_list_of_names(value):
        raise ValueError("expected same, all, a list of tasks, or a mapping with tasks and sample_types")
    return {"tasks": value}


class Block(Section):
    """One block of the grid: every combination of its axes is a run."""

    base_models: list[Name] = Field(min_length=1, description="From `models`.")
    tasks: list[Name] = Field(min_length=1, description="From `tasks`.")
    sample_types: list[Name] = Field(min_length=1, description="From the tasks' `sample_types`.")
    mixes: list[Name] = Field(
        default=[], description="From `mixes`. Without mixes, nb_samples and configs, only base models are asked."
    )
    nb_samples: list[NonNegative] = Field(default=[], description="How many examples of the target task are in the mix.")
    configs: list[Name] = Field(default=[], description="From `configs`.")
    loss_computations: list[Literal["completion", "full"]] = Field(
        default=["completion"], min_length=1, description="`completion`: loss on the answer only; `full`: on prompt and answer."
    )
    seeds: list[Seed] = Field(
        default=[1],
        min_length=1,
        description="One run for each. A number is the seed of adapter initialisation, of data order and of the mix, unless it "
        "is spelled out under `seeds`.",
    )
    promptings: list[Name] = Field(
        default=["zero_shot"], min_length=1, description="How the runs and their base models are asked, from `promptings`."
    )
    prompt_variants: list[Name] = Field(
        default=["default"],
        min_length=1,
        description="Prompt variants in which they are asked, from the tasks' `prompt_variants`.",
    )
    decodings: list[Name] = Field(default=["greedy"], min_length=1, description="How answers are chosen, from `decodings`.")

    evaluate_on: Annotated[
        EvaluatedOn,
        BeforeValidator(_with_its_key, json_schema_input_type=Literal["same", "all"] | list[str] | EvaluatedOn),
    ] = Field(
        EvaluatedOn(),
        description="The test sets on which each run and its base model are evaluated: of its own task and of others, with whose "
        "references. Without `sample_types`, the value of `tasks` may stand here.",
    )

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
        description="File of rows, as in `sources`: one for each test example, or for each of the task's `subset`; rows for "
        "other test examples are ignored."
    )
    task: Name = Field(description="Task of the data set.")
    sample_type: Name = Field(description="Its sample type.")


class ExternalPredictions(Section):
    """Predictions that were made elsewhere: by another tool, a hosted model or people.

    They are scored and reported beside ours.
    """

    base_model: Name | None = Field(
        None,
        description="Base model that they are compared with, from `models`; by default with none: they stand under the "
        "name `external`.",
    )
    files: list[ExternalFile] = Field(min_length=1, description="One file for each data set.")
    match: Match = Field(
        "id",
        description="How a row finds its test example: by the example's `id`; or by the `prompt`, which is the example's "
        "input, or its instruction and input one after the other. White space is ignored. If test examples ask the same "
        "question, their rows are taken in the order of the examples, unless there is a `reference`.",
    )
    id: str = Field("{{ id }}", description="Template of the test example's id, over the fields of a row.")
    prompt: str = Field("{{ prompt }}", description="Template of the prompt.")
    reference: str | None = Field(
        None,
        description="Template of a reference of the test example, which a row with `match: prompt` must have too. It tells "
        "examples apart that ask the same question.",
    )
    prediction: str = Field("{{ prediction }}", description="Template of the prediction.")
    missing: Literal["refuse", "empty"] = Field(
        "refuse",
        description="What becomes of evaluated test examples without a row: they are an error (`refuse`), or count as `empty` "
        "answers, which manifest, log and report count.",
    )

    @model_validator(mode="after")
    def _reference_goes_with_the_prompt(self) -> Self:
        if self.reference is not None and self.match == "id":
            raise ValueError("reference tells rows apart only with match: prompt; an id needs none")
        return self

    @property
    def matching(self) -> Match | Matching:
        """What a row is matched by, and what becomes of test examples without a row."""
        return self.match if self.missing == "refuse" else Matching(by=self.match, missing="empty")

    @property
    def key(self) -> str | PromptAndReference:
        """The template of the text by which a row is matched, or the templates of both texts."""
        if self.match == "id":
            return self.id
        return self.prompt if self.reference is None else PromptAndReference(prompt=self.prompt, reference=self.reference)


class ReportSettings(Section):
    """What the report shows."""

    title: str = Field("loragrid report", description="Heading of the report.")
    metric: str | None = Field(
        None,
        description="The main metric, as `scorer/metric`: what verdicts, figures and summary are about. By default the first "
        "metric of the first task. A task may have its own (`tasks.*.metric`).",
    )
    embed: Literal["all", "sample", "none"] = Field(
        "all",
        description="Which answers the report holds, for its answer browser: all, those to a few questions of each data set "
        "(`examples`), or none.",
    )
    examples: int = Field(
        20, ge=0, le=MANY, description="With `embed: sample`: questions of each data set whose answers the report holds."
    )
    answers_in: Literal["page", "folder"] | None = Field(
        None,
        description="Where the answers are: in the page itself, or in `report_answers/` beside it, a file for each task. By "
        "default in the page, and in the folder if all answers of more than 500 models and data sets are embedded.",
    )
    table: MainTable = Field(MainTable(), description="What stands where in the table of the study.")
    comparisons: list[Comparison] | None = Field(
        None,
        description="The contrasts to make. Those that are not `exploratory` are the main family: their verdicts hold "
        "together. By default, the main family is each kind of run against its base model, in the main metric; and all pairs of "
        "ways that differ in one axis alone are made besides.",
    )
    smallest_difference: dict[str, float] = Field(
        default={},
        description="The smallest difference that matters, by metric as `scorer/metric`. Ways that surely differ by less are "
        "called equivalent.",
    )

    @field_validator("smallest_difference")
    @classmethod
    def _differences_are_positive(cls, value: dict[str, float]) -> dict[str, float]:
        for metric, difference in value.items():
            if difference <= 0:
                raise ValueError(f"expected a number above 0 for {metric}")
        return value


class Pruning(Section):
    """Which other configurations' results `prunable` does not list."""

    keep: list[str | list[str]] | None = Field(
        None,
        description="Files of configurations whose results stay too, each laid over `config/config.yaml`; a list of files is "
        "laid over it together. By default: every file in `config/experiments`, and `config/config.yaml` alone. `[]`: none.",
    )

    @field_validator("keep", mode="before")
    @classmethod
    def _keep_is_a_list_of_files(cls, value: Any) -> Any:
        entries = value if isinstance(value, list) else [value]
        files = [file for entry in entries for file in (entry if isinstance(entry, list) and entry else [entry])]
        if value is None or (isinstance(value, list) and all(isinstance(file, str) and file for file in files)):
            return value
        raise ValueError("expected a list of files, or of lists of files that are laid over each other")
