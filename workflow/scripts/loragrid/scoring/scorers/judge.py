"""The scorer `judge`: a language model that says, by a rubric, how good answers are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from loragrid.errors import UserError
from loragrid.layout import JUDGEMENT_STATES
from loragrid.runtime.files import fingerprint
from loragrid.scoring.protocol import ScorerFunction
from loragrid.scoring.rubrics import Against, read_rubric
from loragrid.scoring.scorer import Named, Requests, ScorerInputs, ScorerSettings
from loragrid.sections import LATER, ONLY_SPEED, Name, Price, Server

NO_FURTHER_FIELDS = frozenset(
    ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "n", "best_of", "stream")
)


class JudgeScorer(ScorerSettings, Server):
    """A language model as judge, behind any server with an OpenAI-compatible API. Its rubric says what it is asked and what it
    gives.
    """

    type: Literal["judge"] = Field(description="Chooses this scorer.")
    rubric: Name = Field(description="Name of a file under `data/prompts/judges/`, without `.yaml`.")
    model: str = Field(description="The judge's name on the server.")
    server: Annotated[Name | None, ONLY_SPEED] = Field(
        None,
        description="Name of the server, for one whose address changes from time to time. What a judge has said is kept by this "
        "name; by default, by the server's address.",
    )
    concurrency: Annotated[int, ONLY_SPEED] = Field(
        8, ge=1, description="Maximum number of requests at a time, for all jobs together: only one job at a time asks a judge."
    )
    against: Against = Field(
        "reference",
        description="What a pairwise rubric compares an answer with: the `reference`, or the answer of the `base` model, asked "
        "alike.",
    )
    baselines: bool = Field(True, description="Judge the trivial baselines too.")
    temperature: float | None = Field(0, ge=0, description="Null leaves the field out of the request, for models that refuse it.")
    max_new_tokens: int = Field(512, ge=1, description="Maximum length of a judgement, in tokens.")
    structured: Literal["auto", "json_schema", "off"] = Field(
        "auto",
        description="Ask the server for JSON in the rubric's form; `auto` goes on without it if the server refuses. Every answer "
        "is read tolerantly.",
    )
    rejudge: Annotated[int, LATER] = Field(
        0,
        ge=0,
        description="How often the judge is asked again about an answer where what it says cannot be read, or where it refuses. "
        "It is shown what it said, and told why that cannot be used. All other judgements are kept.",
    )
    requests_per_minute: Annotated[float | None, ONLY_SPEED] = Field(
        None, gt=0, description="Maximum number of requests per minute, evenly spaced; by default no limit."
    )
    price: Annotated[Price | None, ONLY_SPEED] = Field(None, description="Price of the judge, by tokens.")
    budget: Annotated[float | None, ONLY_SPEED] = Field(
        None,
        gt=0,
        description="Maximum cost of all answers of this judge, by its `price`, including the answers in earlier runs of the "
        "workflow. The job ends before the budget could be exceeded. A request without an answer counts with its highest "
        "possible cost: a token for each byte of the request, 256 tokens for what a server adds, and `max_new_tokens`. An answer "
        "counts in the same way if the server does not count its tokens.",
    )

    reads_examples = True
    is_light = False
    kind = "judge"

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if self.budget is not None and (
            self.price is None or not (self.price.million_prompt_tokens or self.price.million_new_tokens)
        ):
            raise ValueError("budget needs a price of tokens")
        if self.price is not None and self.price.hour:
            raise ValueError("price.hour: a judge is paid by its tokens")
        if given := self.settings.keys() & NO_FURTHER_FIELDS:
            raise ValueError(
                f"settings.{min(given)}: this field of a request is not to be set; a judge has keys of its own for what it needs"
            )
        return self

    def build(self, inputs: ScorerInputs) -> ScorerFunction:
        from loragrid.scoring.judge_stores import server_of, store_of_server
        from loragrid.scoring.judging import answers_by_question, judge

        base = None if inputs.base is None else answers_by_question(inputs.base)
        store = store_of_server(judge_store(self), server_of(self.base_url_variable, self.server))
        return judge(inputs.name, self, base, store)

    def metrics_of_example(self, criteria: object) -> tuple[str, ...]:
        return read_rubric(self.rubric).metrics

    def limits_of_metrics(self, criteria: object) -> dict[str, tuple[float, float]]:
        rubric = read_rubric(self.rubric)
        return {"win": (0.0, 1.0)} if rubric.pairwise else {key: (of.minimum, of.maximum) for key, of in rubric.scores.items()}

    def edition_for(self, has_parts: bool) -> int:
        # 1 more: a part that the judge did not judge counted as the rubric's worst value.
        return self.edition + (has_parts and not read_rubric(self.rubric).pairwise)

    def worst_values(self) -> dict[str, float | None]:
        # What a judge fails to say is no fault of the model that it judges.
        return dict.fromkeys(read_rubric(self.rubric).metrics)

    def decisive_settings(self) -> dict[str, Any]:
        # What is judged does not decide how. A rubric counts by its content, not by its name.
        own = {key: value for key, value in super().decisive_settings().items() if key not in ("baselines", "rubric")}
        return own | {"rubric": read_rubric(self.rubric).model_dump()}

    def problems(self, config: Named) -> Iterator[str]:
        try:
            rubric = read_rubric(self.rubric)
        except UserError as error:
            yield f"rubric: {error}"
        else:
            if self.against == "base" and not rubric.pairwise:
                yield f"against: 'base' is for rubrics that compare pairs, which '{self.rubric}' does not."

    @property
    def scores_baselines(self) -> bool:
        return self.baselines

    @property
    def compares_with_base(self) -> bool:
        return self.against == "base" and read_rubric(self.rubric).pairwise

    @property
    def requests(self) -> Requests:
        rubric = read_rubric(self.rubric)
        own_characters = len(rubric.prompt) + len(rubric.system or "")
        at_most = (2 if rubric.pairwise else 1) * (1 + self.rejudge)
        return Requests(at_most, own_characters, self.max_new_tokens, self.concurrency)

    @property
    def token_price(self) -> Price | None:
        return self.price

    @property
    def judgements(self) -> Path:
        return judge_store(self)


def judge_store(settings: JudgeScorer) -> Path:
    """Where a judge's answers are kept: one journal for all scorers that ask the same judge in the same way.

    Each server has a journal of its own beside it, as `store_of_server` says.
    """
    asked = settings.decisive_settings()
    # The expressions over its scores change nothing in the questions. Further questions have messages of their own.
    asked["rubric"] = {key: value for key, value in asked["rubric"].items() if key != "derived"}
    asked.pop("rejudge", None)
    return Path(JUDGEMENT_STATES) / f"{fingerprint(asked)[:32]}.jsonl"
