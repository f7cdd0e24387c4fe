"""The scorer `judge`: a language model that says, by a rubric, how good answers are."""

from __future__ import annotations

import fcntl
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from loragrid.errors import UserError
from loragrid.runtime.files import fingerprint, storable
from loragrid.runtime.job import log
from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.runtime.templates import fill_template
from loragrid.scoring.judge_replies import UnreadableError, form_in_words, read_scores, read_verdict, response_format
from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.rubrics import FOLDER, Rubric, derive, read_rubric
from loragrid.scoring.settings import JudgeScorer, decisive_settings
from loragrid.sections import Price

if TYPE_CHECKING:
    from loragrid.runtime.server import Connection

ADDED_TOKENS = 256
"""What a server's own prompt format may add to a conversation."""


MAY_HAVE_COST = (408, 504, 524)
"""Status codes with which something before the model gives up, while the model may go on."""


CONCERNS_ONE_REQUEST = (400, 413, 422)
"""Status of replies that refuse a request for what it is: too long, filtered, malformed."""


Message = dict[str, str]


Place = tuple[str, int, int]
"""Example, sample and part."""


class Tokens(NamedTuple):
    """What requests cost."""

    prompt: int
    new: int


class Judgement(NamedTuple):
    """What a judge said, as it is kept."""

    text: str
    refused: bool
    """The server says that the text is a refusal."""
    cut_off: bool
    prompt_tokens: int
    new_tokens: int


class Declined(NamedTuple):
    """A request that the server does not take, while it takes others."""

    sentence: str
    blames_format: bool


class OverBudgetError(Exception):
    """The next request might cost more than what is left."""


def judge_store(settings: JudgeScorer) -> Path:
    """Where a judge's answers are kept: one journal for all scorers that ask the same in the same way."""
    asked = decisive_settings(settings)
    # What is made of its scores changes nothing in what it is asked.
    asked["rubric"] = {key: value for key, value in asked["rubric"].items() if key != "derived"}
    return Path("results/.state/judgements") / f"{fingerprint(asked)[:32]}.jsonl"


def judge(name: str, settings: JudgeScorer, base: Mapping[Place, str] | None, store: Path) -> ScorerFunction:
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
        cases = [case_of(rubric, settings, item, base) for item in items]
        wanted = {key_of(messages): messages for case in cases if isinstance(case, list) for messages in case}
        known, declined = _ask_for(name, settings, rubric, wanted, store)
        counted: set[str] = set()
        outcomes: list[Outcome] = []
        for case in cases:
            if not isinstance(case, list):
                outcomes.append(case)
                continue
            keys = [key_of(messages) for messages in case]
            new = [known[key] for key in keys if key in known and key not in counted]
            counted |= set(keys)
            usage = {
                "calls": len(new),
                "prompt_tokens": sum(one.prompt_tokens for one in new),
                "new_tokens": sum(one.new_tokens for one in new),
            }
            refused = [declined[key] for key in keys if key in declined]
            outcome = Failed(refused[0]) if refused else outcome_of(rubric, [known[key] for key in keys])
            outcomes.append(outcome._replace(usage=usage))
        return outcomes

    return score


# What is asked, and what is made of the answers


def case_of(rubric: Rubric, settings: JudgeScorer, item: Item, base: Mapping[Place, str] | None) -> list[list[Message]] | Outcome:
    """The conversations that decide on an answer, or the outcome where there is nothing to ask."""
    row = {"instruction": item.instruction, "input": item.input, "metadata": item.metadata}
    if not rubric.pairwise:
        texts = {"reference": "\n".join(item.references), "references": list(item.references), "prediction": item.prediction}
        return [conversation(rubric, settings, row | texts)]
    if settings.against == "reference":
        other: str | None = item.references[0]
    elif base is None:
        return None
    else:
        other = base.get(place_of(item))
    if other is None:
        return Failed("the base model has no answer to compare with")
    if other == item.prediction:
        return Scored({"win": 0.5}, "the same text")
    orders = ((item.prediction, other), (other, item.prediction))
    return [conversation(rubric, settings, row | {"first": first, "second": second}) for first, second in orders]


def place_of(item: Item) -> Place:
    """What an answer answers, whoever gave it."""
    return item.id, item.sample, item.part


def conversation(rubric: Rubric, settings: JudgeScorer, row: Mapping[str, Any]) -> list[Message]:
    """The messages of a request."""
    # A text would have to contain the hash of itself.
    mark = fingerprint(row)[:12]
    try:
        prompt = fill_template(rubric.prompt, {**row, "mark": mark})
    except UserError as error:
        raise UserError(f"{FOLDER / settings.rubric}.yaml: prompt: {error}") from None
    system = [{"role": "system", "content": rubric.system}] if rubric.system else []
    return [*system, {"role": "user", "content": f"{prompt.rstrip()}\n\n{form_in_words(rubric)}"}]


def key_of(messages: Sequence[Message]) -> str:
    """A hash of what is asked; all else that decides on the answer is in the store's name."""
    return fingerprint(messages)[:32]


def outcome_of(rubric: Rubric, said: Sequence[Judgement]) -> Scored | Failed:
    """The metrics in a judge's answer; of a pairwise rubric, in its answers to both orders."""
    if not rubric.pairwise:
        [one] = said
        try:
            _check_refusal(one)
            scores = read_scores(one.text, rubric.scores, one.cut_off)
        except UnreadableError as error:
            return Failed(str(error), one.text)
        return Scored(scores | {key: derive(expression, scores) for key, expression in rubric.derived.items()}, one.text)
    detail = "\n\n".join(one.text for one in said)
    try:
        for one in said:
            _check_refusal(one)
        verdicts = [read_verdict(one.text) for one in said]
    except UnreadableError as error:
        return Failed(str(error), detail)
    win = {("first", "second"): 1.0, ("second", "first"): 0.0}
    return Scored({"win": win.get((verdicts[0], verdicts[1]), 0.5)}, detail)


def _check_refusal(said: Judgement) -> None:
    if said.refused:
        raise UnreadableError("the judge refuses")


# Asking


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


def upper_bound(fields: Mapping[str, Any], max_new_tokens: int) -> Tokens:
    """The most tokens that a request can cost. A token has at least one byte, and JSON only adds to them."""
    return Tokens(len(json.dumps(fields, ensure_ascii=False).encode()) + ADDED_TOKENS, max_new_tokens)


def cost(tokens: Tokens, price: Price) -> float:
    """What tokens cost."""
    return (tokens.prompt * price.million_prompt_tokens + tokens.new * price.million_new_tokens) / 1e6


def next_start(last: float, now: float, per_minute: float | None) -> float:
    """When a request may start, in seconds on the clock of `now`, so that starts are evenly spaced.

    Args:
        last: start of the request before.
    """
    return now if per_minute is None else max(now, last + 60 / per_minute)


def read_reply(reply: Any, bound: Tokens) -> Judgement:
    """The judgement in a reply of the server; where it does not count its tokens, with the most that they can be.

    Raises:
        ValueError: where the reply is not as the API describes it.
    """
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        refusal, content = message.get("refusal"), message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("the reply lacks an answer") from None
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise ValueError("the reply's content is no text")
    usage = reply.get("usage") or {}
    try:
        tokens = Tokens(int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
    except (KeyError, TypeError, ValueError):
        tokens = bound
    cut_off = choice.get("finish_reason") == "length"
    return Judgement(
        storable(refusal or content or ""),
        bool(refusal) or choice.get("finish_reason") == "content_filter",
        cut_off,
        tokens.prompt,
        tokens.new,
    )


class Ledger:
    """A judge's store, and what it adds up to. Each request is entered before it is sent, so that no death can hide what it cost."""

    def __init__(self, store: Path, settings: JudgeScorer) -> None:
        self.store, self.price, self.budget = store, settings.price, settings.budget
        entries = read_journal(store)
        self.judgements = {key: Judgement(**one) for key, one in entries.items() if not key.startswith("sent/")}
        counts = [Tokens(one.prompt_tokens, one.new_tokens) for one in self.judgements.values()]
        counts += [Tokens(*one) for key, one in entries.items() if key.startswith("sent/") and one]
        self.total = Tokens(sum(one.prompt for one in counts), sum(one.new for one in counts))
        self.in_flight = 0
        self.changed = threading.Condition()

    def enter(self, bound: Tokens, stopping: threading.Event) -> str:
        """Enter a request that is about to be sent, with the most that it can cost. Waits for others that may cost less than they could.

        Raises:
            OverBudgetError: where the budget might be exceeded.
        """
        with self.changed:
            while self.budget is not None and self.price is not None and cost(self._with(bound), self.price) > self.budget:
                if not self.in_flight or stopping.is_set():
                    raise OverBudgetError
                self.changed.wait()
            entry = f"sent/{uuid.uuid4().hex}"
            append_to_journal(self.store, {entry: bound})
            self.total = self._with(bound)
            self.in_flight += 1
            return entry

    def close(self, entry: str, bound: Tokens, spent: Tokens, new: Mapping[str, Judgement]) -> None:
        """Close an entry with what the request did cost, and what came of it, if anything."""
        with self.changed:
            try:
                if spent != bound or new:
                    append_to_journal(self.store, {key: one._asdict() for key, one in new.items()} | {entry: None})
                self.judgements |= new
                self.total = self._with(Tokens(spent.prompt - bound.prompt, spent.new - bound.new))
            finally:
                # Others wait for this, also where the disk is full.
                self.in_flight -= 1
                self.changed.notify_all()

    def _with(self, more: Tokens) -> Tokens:
        return Tokens(self.total.prompt + more.prompt, self.total.new + more.new)


def _ask_for(
    name: str, settings: JudgeScorer, rubric: Rubric, wanted: Mapping[str, list[Message]], store: Path
) -> tuple[dict[str, Judgement], dict[str, str]]:
    """All judgements that are wanted, and for requests that the server does not take, what it says.

    Raises:
        UserError: where not all can be had. What has been answered is kept.
    """
    known = Ledger(store, settings).judgements
    if not wanted.keys() - known.keys():
        return known, {}
    with _alone(store.with_suffix(".lock"), name):
        ledger = Ledger(store, settings)
        missing = {key: messages for key, messages in wanted.items() if key not in ledger.judgements}
        log.info("%d judgements to ask for, %d are known", len(missing), len(wanted) - len(missing))
        before = ledger.total
        declined, problem = _ask_all(name, settings, rubric, missing, ledger) if missing else ({}, None)
        tokens = Tokens(ledger.total.prompt - before.prompt, ledger.total.new - before.new)
        price = settings.price or Price()
        log.info(
            "judged with %d calls: %d prompt tokens, %d new tokens, cost %.6g; this judge has cost %.6g so far",
            *(len(missing.keys() & ledger.judgements.keys()), *tokens, cost(tokens, price), cost(ledger.total, price)),
        )
    left = sum(key not in ledger.judgements for key in wanted)
    if isinstance(problem, OverBudgetError):
        raise UserError(
            f"scorers.{name}.budget: {cost(ledger.total, price):.6g} of {settings.budget:g} is spent, and one more request might cost more than what is "
            f"left; {left} of {len(wanted)} judgements are missing. What has been answered is kept; raise scorers.{name}.budget to go on."
        )
    if problem:
        raise problem
    if declined and left == len(wanted):
        raise UserError(next(iter(declined.values())))
    return ledger.judgements, declined


def _ask_all(
    name: str, settings: JudgeScorer, rubric: Rubric, missing: Mapping[str, list[Message]], ledger: Ledger
) -> tuple[dict[str, str], Exception | None]:
    # To import openai takes a second.
    import openai

    from loragrid.runtime.server import connect, explain, send

    server: Connection = connect(f"scorers.{name}", settings.model_dump())
    stopping, lock = threading.Event(), threading.Lock()
    form = None if settings.structured == "off" else response_format(rubric)
    declined: dict[str, str] = {}
    # Other jobs may have asked just now.
    started = time.monotonic()

    def wait_for_turn() -> None:
        nonlocal started
        with lock:
            now = time.monotonic()
            started = next_start(started, now, settings.requests_per_minute)
            wait = started - now
        if wait > 0:
            stopping.wait(wait)

    def attempt(key: str, messages: Sequence[Message], form: Mapping[str, Any] | None) -> Declined | None:
        fields = request(settings, messages, form)
        bound = upper_bound(fields, settings.max_new_tokens)
        entry = ledger.enter(bound, stopping)
        # A request without a reply that can be read may have been answered, and be charged.
        spent, new = bound, {}
        try:
            wait_for_turn()
            if stopping.is_set():
                spent = Tokens(0, 0)
                return None
            judgement = read_reply(server.client.post("/chat/completions", body=fields, cast_to=object), bound)
            spent, new = Tokens(judgement.prompt_tokens, judgement.new_tokens), {key: judgement}
        except openai.APIStatusError as error:
            if error.status_code not in MAY_HAVE_COST:
                spent = Tokens(0, 0)
            if error.status_code not in CONCERNS_ONE_REQUEST:
                raise
            return Declined(explain(server, error)[0], blames_format(str(error)))
        except openai.APIConnectionError as error:
            # No connection was made.
            if type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout"):
                spent = Tokens(0, 0)
            raise
        finally:
            ledger.close(entry, bound, spent, new)
        return None

    def ask(key: str, messages: Sequence[Message]) -> None:
        nonlocal form
        if stopping.is_set():
            return
        try:
            tried = form
            said = send(server, stopping, lambda: attempt(key, messages, tried))
            if said and said.blames_format and tried and settings.structured == "auto":
                if form:
                    log.info("%s Going on without response_format.", said.sentence)
                form = None
                said = send(server, stopping, lambda: attempt(key, messages, None))
            if said:
                log.info("%s", said.sentence)
                declined[key] = said.sentence
        except BaseException:
            stopping.set()
            raise

    problem: Exception | None = None
    with (
        tqdm(total=len(missing), desc="judging", unit="call", mininterval=5) as progress,
        ThreadPoolExecutor(settings.concurrency) as pool,
    ):
        try:
            for future in as_completed([pool.submit(ask, key, messages) for key, messages in missing.items()]):
                try:
                    future.result()
                    progress.update()
                except Exception as error:
                    # What others have asked for in the meantime is kept before the job ends.
                    if problem is None or isinstance(problem, OverBudgetError):
                        problem = error
        finally:
            stopping.set()
    return declined, problem


def blames_format(said: str) -> bool:
    """Whether a server refuses a request because it was to enforce a form."""
    return bool(re.search(r"(?i)response.?format|json.?schema|structured|guided|grammar", said))


@contextmanager
def _alone(lock: Path, name: str) -> Iterator[None]:
    """Only one job at a time asks a judge, so that limits on requests and costs hold for all of them."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("another job is asking the judge of scorers.%s; waiting until it is done", name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
