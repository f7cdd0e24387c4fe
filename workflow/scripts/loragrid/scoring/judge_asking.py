"""Asking a judge: several requests at a time, evenly paced. Each is entered in the ledger before it is sent."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any, NamedTuple

import openai

from loragrid.runtime.files import storable
from loragrid.runtime.job import log
from loragrid.runtime.redaction import without_keys
from loragrid.runtime.server import Connection, explain, send, tokens_of
from loragrid.scoring.judge_conversations import Message
from loragrid.scoring.judge_ledger import NO_TOKENS, Judgement, Ledger, OverBudgetError, Tokens, upper_bound
from loragrid.text.thoughts import spoken_in

MAY_HAVE_COST = (408, 504, 524)
"""Status codes with which a gateway in front of the model gives up, while the model may go on."""


CONCERNS_ONE_REQUEST = (400, 413, 422)
"""Status codes that refuse a request for its content: too long, filtered, malformed."""


Form = Mapping[str, Any]
"""The field of a request that makes a server enforce the form of the answer."""


class Manner(NamedTuple):
    """How a judge is asked."""

    request: Callable[[Sequence[Message], Form | None], dict[str, Any]]
    """The fields of a request, from its messages and the form that the server should enforce."""
    form: Form | None
    form_is_required: bool
    """Whether no request is sent without the form, even if the server refuses to enforce it."""
    max_new_tokens: int
    requests_per_minute: float | None
    concurrency: int


class Declined(NamedTuple):
    """A request that the server refuses, while it takes others."""

    sentence: str
    blames_format: bool


class Asking:
    """One asking of a judge, whose requests are sent by several threads."""

    def __init__(self, server: Connection, ledger: Ledger, manner: Manner) -> None:
        self.server, self.ledger, self.manner = server, ledger, manner
        self.form = manner.form
        """The form to enforce; None as soon as the server has refused to enforce it."""
        self.declined: dict[str, str] = {}
        """What the server says about requests that it refuses, by their keys."""
        self.uncounted = 0
        """Replies whose tokens the server does not count, or not believably."""
        self.stopping = threading.Event()
        self._turns = threading.Lock()
        # Other jobs may have asked just now.
        self._last_start = time.monotonic()

    def ask(self, conversations: Mapping[str, list[Message]]) -> Exception | None:
        """Ask for all judgements, which go into the ledger. Returns the problem that ended the asking early, if any.

        Args:
            conversations: the messages of each request, by its key.
        """
        from tqdm import tqdm

        with (
            tqdm(total=len(conversations), desc="judging", unit="call", mininterval=5) as progress,
            ThreadPoolExecutor(self.manner.concurrency) as pool,
        ):
            try:
                asked = [pool.submit(self._ask_one, key, messages) for key, messages in conversations.items()]
                return _problem_among(asked, progress.update)
            finally:
                self.stopping.set()

    def _ask_one(self, key: str, messages: Sequence[Message]) -> None:
        """Ask for a judgement, and again without a form if the server refuses to enforce one. A problem stops all threads."""
        if self.stopping.is_set():
            return
        try:
            form = self.form
            declined = self._send(key, messages, form)
            if declined and declined.blames_format and form and not self.manner.form_is_required:
                if self.form:
                    log.info("%s Going on without response_format.", declined.sentence)
                self.form = None
                declined = self._send(key, messages, None)
            if declined:
                log.info("%s", declined.sentence)
                self.declined[key] = declined.sentence
        except BaseException:
            self.stopping.set()
            raise

    def _send(self, key: str, messages: Sequence[Message], form: Form | None) -> Declined | None:
        """Send a request, patiently."""
        return send(self.server, self.stopping, lambda: self._attempt(key, messages, form))

    def _attempt(self, key: str, messages: Sequence[Message], form: Form | None) -> Declined | None:
        """Send a request once. Its entry in the ledger is open meanwhile."""
        fields = self.manner.request(messages, form)
        bound = upper_bound(fields, self.manner.max_new_tokens)
        entry = self.ledger.enter(bound, self.stopping)
        # Even if a reply is missing or unreadable, the request may have been answered, and be charged.
        spent, new = bound, {}
        try:
            self._wait_for_turn()
            if self.stopping.is_set():
                spent = NO_TOKENS
                return None
            reply = without_keys(self.server.client.post("/chat/completions", body=fields, cast_to=object))
            judgement = read_reply(reply, bound)
            spent, new = judgement.tokens, {key: judgement}
            with self._turns:
                self.uncounted += isinstance(reply, Mapping) and tokens_of(reply.get("usage")) is None
        except openai.APIError as error:
            if cost_nothing(error):
                spent = NO_TOKENS
            if not isinstance(error, openai.APIStatusError) or error.status_code not in CONCERNS_ONE_REQUEST:
                raise
            return Declined(explain(self.server, error)[0], blames_format(str(error)))
        finally:
            self.ledger.close(entry, bound, spent, new)
        return None

    def _wait_for_turn(self) -> None:
        """Wait until a request may start."""
        with self._turns:
            now = time.monotonic()
            self._last_start = start = next_start(self._last_start, now, self.manner.requests_per_minute)
        if start > now:
            self.stopping.wait(start - now)


def _problem_among(asked: Iterable[Future[None]], done: Callable[[], object]) -> Exception | None:
    """The problem that ended a request, if any. All requests have ended then, so that their answers are kept.

    A spent budget is reported only if nothing else is wrong.

    Args:
        done: called after each request that ended well.
    """
    problem: Exception | None = None
    for future in as_completed(asked):
        try:
            future.result()
            done()
        except Exception as error:
            if problem is None or isinstance(problem, OverBudgetError):
                problem = error
    return problem


def next_start(last: float, now: float, per_minute: float | None) -> float:
    """When a request may start so that starts are evenly spaced, in seconds on the clock of `now`.

    Args:
        last: start of the request before.
    """
    return now if per_minute is None else max(now, last + 60 / per_minute)


def read_reply(reply: Any, bound: Tokens) -> Judgement:
    """The judgement in a reply of the server. If that does not count its tokens believably, the highest possible number counts.

    Raises:
        ValueError: if the reply is not as the API describes it.
    """
    try:
        choice = reply["choices"][0]
        message = choice["message"]
        refusal, content = message.get("refusal"), spoken_in(message).answer
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("the reply lacks an answer") from None
    if not isinstance(refusal, str | None):
        raise ValueError("the reply's content is no text")
    tokens = Tokens(*(tokens_of(reply.get("usage")) or bound))
    cut_off = choice.get("finish_reason") == "length"
    return Judgement(
        storable(refusal or content),
        bool(refusal) or choice.get("finish_reason") == "content_filter",
        cut_off,
        tokens.prompt,
        tokens.new,
    )


def cost_nothing(error: openai.APIError) -> bool:
    """Whether a request that failed in this way surely cost nothing: there was no connection, or the server says so."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code not in MAY_HAVE_COST
    return isinstance(error, openai.APIConnectionError) and type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def blames_format(reply: str) -> bool:
    """Whether a server refuses a request because it cannot enforce a form."""
    return bool(re.search(r"(?i)response.?format|json.?schema|structured|guided|grammar", reply))
