"""The scorer `judge`: a language model that says, by a rubric, how good answers are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from loragrid.errors import UserError
from loragrid.layout import JUDGEMENT_STATES
from loragrid.runtime.files import fingerprint
from loragrid.runtime.job import log
from loragrid.scoring.judge_conversations import (
    Against,
    Message,
    QuestionKey,
    conversations_about,
    key_of,
    outcome_of,
    question_key,
)
from loragrid.scoring.judge_ledger import Judgement, Ledger, OverBudgetError, Tokens, cost, held_alone
from loragrid.scoring.judge_replies import response_format
from loragrid.scoring.protocol import Failed, Item, Outcome, ScorerFunction, items_of
from loragrid.scoring.rubrics import Rubric, read_rubric
from loragrid.scoring.scorer import Named, Requests, ScorerInputs, ScorerSettings
from loragrid.sections import ONLY_SPEED, Name, Price, Server

NO_FURTHER_FIELDS = frozenset(
    ("model", "messages", "temperature", "max_tokens", "max_completion_tokens", "response_format", "n", "best_of", "stream")
)


class JudgeScorer(ScorerSettings, Server):
    """A language model as judge, behind any server with an OpenAI-compatible API. Its rubric says what it is asked and what it gives."""

    type: Literal["judge"] = Field(description="Chooses this scorer.")
    rubric: Name = Field(description="Name of a file under `data/prompts/judges/`, without `.yaml`.")
    model: str = Field(description="The judge's name on the server.")
    concurrency: Annotated[int, ONLY_SPEED] = Field(
        8, ge=1, description="Most requests at a time, of all jobs together: only one job at a time asks a judge."
    )
    against: Against = Field(
        "reference",
        description="What a pairwise rubric compares an answer with: the `reference`, or the answer of the `base` model, asked alike.",
    )
    baselines: bool = Field(True, description="Judge the trivial baselines as well.")
    temperature: float | None = Field(0, ge=0, description="Null leaves it out of the request, for models that refuse it.")
    max_new_tokens: int = Field(512, ge=1, description="Longest judgement, in tokens.")
    structured: Literal["auto", "json_schema", "off"] = Field(
        "auto",
        description="Ask the server for JSON in the rubric's form: `auto` goes on without, if the server refuses. Whatever comes is read tolerantly.",
    )
    requests_per_minute: Annotated[float | None, ONLY_SPEED] = Field(
        None, gt=0, description="Most requests a minute, evenly spaced; by default as fast as it goes."
    )
    price: Annotated[Price | None, ONLY_SPEED] = Field(None, description="What the judge costs, by its tokens.")
    budget: Annotated[float | None, ONLY_SPEED] = Field(
        None,
        gt=0,
        description="Most that all answers of this judge may cost, by its `price`, those of earlier runs included; before it could be exceeded, the job "
        "ends. A request without an answer counts with the most that it can have cost: a token for each byte of it (and 256 for what a server adds), "
        "and `max_new_tokens`; so does an answer whose tokens the server does not count.",
    )

    reads_examples: ClassVar[bool] = True
    is_light: ClassVar[bool] = False

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
        base = None
        if inputs.base is not None:
            base = {question_key(item): item.prediction for items in items_of(inputs.base) for item in items}
        return judge(inputs.name, self, base, judge_store(self))

    def metrics_of_example(self, criteria: object) -> tuple[str, ...]:
        return read_rubric(self.rubric).metrics

    def worst_values(self) -> dict[str, float | None]:
        rubric = read_rubric(self.rubric)
        return {name: range_.minimum for name, range_ in rubric.scores.items()} | dict.fromkeys(rubric.derived)

    def decisive_settings(self) -> dict[str, Any]:
        # What is judged is no matter of how, and a rubric is what it says, not its name.
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
        return Requests(2 if rubric.pairwise else 1, own_characters, self.max_new_tokens, self.concurrency)

    @property
    def token_price(self) -> Price | None:
        return self.price

    @property
    def judgements(self) -> Path:
        return judge_store(self)


def judge_store(settings: JudgeScorer) -> Path:
    """Where a judge's answers are kept: one journal for all scorers that ask the same in the same way."""
    asked = settings.decisive_settings()
    # What is made of its scores changes nothing in what it is asked.
    asked["rubric"] = {key: value for key, value in asked["rubric"].items() if key != "derived"}
    return Path(JUDGEMENT_STATES) / f"{fingerprint(asked)[:32]}.jsonl"


def judge(name: str, settings: JudgeScorer, base: Mapping[QuestionKey, str] | None, store: Path) -> ScorerFunction:
    """The scorer that asks a judge, and asks it nothing twice.

    The usage of an outcome says what its judgement cost when it was made, also if it comes from the store. Of several answers with the same
    judgement, the first has it, so that the rows of a file add up to what its judgements cost.

    Args:
        name: of the scorer in the configuration.
        base: what the base model answers, for pairwise rubrics that compare with it; without it such rubrics say nothing.
        store: journal of all that this judge has said.
    """
    rubric = read_rubric(settings.rubric)

    def score(items: Sequence[Item]) -> list[Outcome]:
        cases = [conversations_about(rubric, settings.rubric, settings.against, item, base) for item in items]
        wanted = {key_of(messages): messages for case in cases if isinstance(case, list) for messages in case}
        judged = judgements_for(name, settings, rubric, wanted, store)
        counted: set[str] = set()
        outcomes: list[Outcome] = []
        for case in cases:
            if not isinstance(case, list):
                outcomes.append(case)
                continue
            keys = [key_of(messages) for messages in case]
            declined = [judged.declined[key] for key in keys if key in judged.declined]
            outcome = Failed(declined[0]) if declined else outcome_of(rubric, [judged.judgements[key] for key in keys])
            new = [judged.judgements[key] for key in keys if key in judged.judgements and key not in counted]
            outcomes.append(outcome._replace(usage=usage_of(new)))
            counted |= set(keys)
        return outcomes

    return score


def usage_of(judgements: Collection[Judgement]) -> dict[str, int]:
    """What judgements cost, as a row of scores has it."""
    return {
        "calls": len(judgements),
        "prompt_tokens": sum(judgement.prompt_tokens for judgement in judgements),
        "new_tokens": sum(judgement.new_tokens for judgement in judgements),
    }


class Judged(NamedTuple):
    """What came of all requests, by their keys."""

    judgements: Mapping[str, Judgement]
    declined: Mapping[str, str]
    """What the server says of requests that it does not take."""


def judgements_for(name: str, settings: JudgeScorer, rubric: Rubric, wanted: Mapping[str, list[Message]], store: Path) -> Judged:
    """All judgements that are wanted: those that the store has, and the others from the judge.

    Raises:
        UserError: where not all can be had. What has been answered is kept.
    """
    known = Ledger(store, settings.price, settings.budget).judgements
    if not wanted.keys() - known.keys():
        return Judged(known, {})
    with held_alone(store, name):
        ledger = Ledger(store, settings.price, settings.budget)
        missing = {key: messages for key, messages in wanted.items() if key not in ledger.judgements}
        log.info("%d judgements to ask for, %d are known", len(missing), len(wanted) - len(missing))
        before = ledger.total
        declined, problem = _ask(name, settings, rubric, missing, ledger) if missing else ({}, None)
        _log_costs(ledger, before, len(missing.keys() & ledger.judgements.keys()))
    left = sum(key not in ledger.judgements for key in wanted)
    if isinstance(problem, OverBudgetError):
        spent = f"{cost(ledger.total, settings.price or Price()):.6g} of {settings.budget:g} is spent"
        raise UserError(
            f"scorers.{name}.budget: {spent}, and one more request might cost more than what is left; {left} of {len(wanted)} judgements are missing. "
            f"What has been answered is kept; raise scorers.{name}.budget to go on."
        )
    if problem:
        raise problem
    if declined and left == len(wanted):
        raise UserError(next(iter(declined.values())))
    return Judged(ledger.judgements, declined)


def _ask(
    name: str, settings: JudgeScorer, rubric: Rubric, missing: Mapping[str, list[Message]], ledger: Ledger
) -> tuple[dict[str, str], Exception | None]:
    """Ask for judgements, which go into the ledger: what the server declines, and what ended the asking early."""
    # To import openai takes a second.
    from loragrid.runtime.server import connect
    from loragrid.scoring.judge_asking import Asking, Manner

    manner = Manner(
        request=partial(request, settings),
        form=None if settings.structured == "off" else response_format(rubric),
        form_is_required=settings.structured == "json_schema",
        max_new_tokens=settings.max_new_tokens,
        requests_per_minute=settings.requests_per_minute,
        concurrency=settings.concurrency,
    )
    asking = Asking(connect(f"scorers.{name}", settings.model_dump()), ledger, manner)
    problem = asking.ask(missing)
    return asking.declined, problem


def request(settings: JudgeScorer, messages: Sequence[Message], form: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a request.

    Args:
        form: what the server is to enforce of the answer's form.
    """
    fields: dict[str, Any] = {
        "model": settings.model,
        "messages": list(messages),
        "temperature": settings.temperature,
        settings.length_field: settings.max_new_tokens,
        "response_format": form,
    }
    return {key: value for key, value in (fields | settings.settings).items() if value is not None}


def _log_costs(ledger: Ledger, before: Tokens, calls: int) -> None:
    tokens = Tokens(ledger.total.prompt - before.prompt, ledger.total.new - before.new)
    price = ledger.price or Price()
    log.info(
        "judged with %d calls: %d prompt tokens, %d new tokens, cost %.6g; this judge has cost %.6g so far",
        *(calls, *tokens, cost(tokens, price), cost(ledger.total, price)),
    )
