"""From answers to a judge's judgements: which are there already, which the judge is asked for, what they have cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.errors import UserError
from loragrid.records import Prediction
from loragrid.runtime.job import log
from loragrid.runtime.locks import held
from loragrid.scoring.judge_conversations import (
    Message,
    QuestionKey,
    asked_again,
    conversations_about,
    key_of,
    outcome_of,
    problem_of,
    question_key,
)
from loragrid.scoring.judge_ledger import Judgement, Ledger, OverBudgetError, Tokens, cost
from loragrid.scoring.judge_replies import response_format
from loragrid.scoring.protocol import Failed, Item, Outcome, ScorerFunction, items_of
from loragrid.scoring.rubrics import Rubric, read_rubric
from loragrid.sections import Price

if TYPE_CHECKING:
    from loragrid.scoring.scorers.judge import JudgeScorer

WAITING = "another job is asking the judge of scorers.%s; waiting until it is done"


def answers_by_question(predictions: Iterable[Prediction]) -> dict[QuestionKey, str]:
    """The answers in predictions, by the question that they belong to."""
    return {question_key(item): item.prediction for items in items_of(predictions) for item in items}


def judge(name: str, settings: JudgeScorer, base: Mapping[QuestionKey, str] | None, store: Path) -> ScorerFunction:
    """The scorer that asks a judge, and never asks it the same twice.

    The usage of an outcome says what its judgement cost when it was made, also if it comes from the store. If several answers
    share a judgement, only the first has the usage, so that the rows of a file add up to what its judgements cost.

    Args:
        name: of the scorer in the configuration.
        base: the base model's answers, for pairwise rubrics that compare with them. Without them, such rubrics say nothing.
        store: journal of all that this judge has said.
    """
    rubric = read_rubric(settings.rubric)

    def score(items: Sequence[Item]) -> list[Outcome]:
        cases = [conversations_about(rubric, settings.rubric, settings.against, item, base) for item in items]
        wanted = {key_of(messages): messages for case in cases if isinstance(case, list) for messages in case}
        judged = judgements_for(name, settings, rubric, wanted, store)
        if judged.declined and not wanted.keys() & judged.judgements.keys():
            raise UserError(next(iter(judged.declined.values())))
        said = {key: [judged.judgements[key]] for key in wanted if key in judged.judgements}
        ask_again(name, settings, rubric, {key: wanted[key] for key in said}, said, store)
        counted: set[str] = set()
        outcomes: list[Outcome] = []
        for case in cases:
            if not isinstance(case, list):
                outcomes.append(case)
                continue
            keys = [key_of(messages) for messages in case]
            declined = [judged.declined[key] for key in keys if key in judged.declined]
            outcome = Failed(declined[0]) if declined else outcome_of(rubric, [said[key][-1] for key in keys])
            new = [judgement for key in keys if key not in counted for judgement in said.get(key, ())]
            outcomes.append(outcome._replace(usage=usage_of(new)))
            counted |= set(keys)
        return outcomes

    return score


def ask_again(
    name: str,
    settings: JudgeScorer,
    rubric: Rubric,
    asked: Mapping[str, list[Message]],
    said: Mapping[str, list[Judgement]],
    store: Path,
) -> None:
    """Ask a judge again where its last answer cannot be read, as often as its settings say. What it says is added to `said`.

    Args:
        asked: the messages of each conversation, by the key of the first request.
        said: all that the judge has said in each conversation so far.
    """
    latest = dict(asked)
    for i in range(settings.rejudge):
        problems = {key: problem for key in latest if (problem := problem_of(rubric, said[key][-1]))}
        if not problems:
            return
        log.info("%d judgements cannot be read: asked again (%d of %d times)", len(problems), i + 1, settings.rejudge)
        latest = {key: asked_again(rubric, latest[key], said[key][-1], problem) for key, problem in problems.items()}
        again = {key: key_of(messages) for key, messages in latest.items()}
        judged = judgements_for(name, settings, rubric, {again[key]: messages for key, messages in latest.items()}, store)
        latest = {key: messages for key, messages in latest.items() if again[key] in judged.judgements}
        for key in latest:
            said[key].append(judged.judgements[again[key]])


def usage_of(judgements: Collection[Judgement]) -> dict[str, int]:
    """The cost of judgements, in the form of a row of scores."""
    return {
        "calls": len(judgements),
        "prompt_tokens": sum(max(0, judgement.prompt_tokens) for judgement in judgements),
        "new_tokens": sum(max(0, judgement.new_tokens) for judgement in judgements),
    }


class Judged(NamedTuple):
    """The results of all requests, by their keys."""

    judgements: Mapping[str, Judgement]
    declined: Mapping[str, str]
    """What the server says about requests that it refuses."""


def judgements_for(name: str, settings: JudgeScorer, rubric: Rubric, wanted: Mapping[str, list[Message]], store: Path) -> Judged:
    """All wanted judgements: from the store if it has them, else from the judge.

    Raises:
        UserError: if some are still missing in the end. The answers so far are kept.
    """
    kept = Ledger(store, settings.price, settings.budget).judgements
    if not wanted.keys() - kept.keys():
        return Judged(kept, {})
    # Only one job at a time asks a judge, so that limits on requests and costs hold for all of them.
    with held(store.with_suffix(".lock"), partial(log.info, WAITING, name)):
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
            f"scorers.{name}.budget: {spent}, and one more request might cost more than what is left; {left} of {len(wanted)} "
            f"judgements are missing. "
            f"What has been answered is kept; raise scorers.{name}.budget to go on."
        )
    if problem:
        raise problem
    return Judged(ledger.judgements, declined)


def _ask(
    name: str, settings: JudgeScorer, rubric: Rubric, missing: Mapping[str, list[Message]], ledger: Ledger
) -> tuple[dict[str, str], Exception | None]:
    """Ask for judgements, which go into the ledger. Returns the refused requests, and the problem that ended the asking early."""
    # Importing openai takes a second.
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
    if asking.uncounted:
        log.info(
            "%d replies do not say how many tokens they have, or not believably; they count as the most that they can be",
            asking.uncounted,
        )
    return asking.declined, problem


def request(settings: JudgeScorer, messages: Sequence[Message], form: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a request.

    Args:
        form: the form of the answer that the server should enforce.
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
