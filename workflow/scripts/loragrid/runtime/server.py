"""Talk to a server with an OpenAI-compatible API: patiently, and without telling anyone the key."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeGuard, TypeVar

import openai

from loragrid.errors import UserError
from loragrid.runtime.job import log

LONGEST_WAIT_S = 300.0


MOST_TOKENS = 10_000_000
"""No request has more tokens than that: no model reads or writes as many at a time."""


T = TypeVar("T")


class Connection(NamedTuple):
    """A server that can be asked."""

    client: openai.OpenAI
    where: str
    """Key of the configuration that describes it, for messages."""
    settings: Mapping[str, Any]
    """As `sections.Server` describes them."""


def connect(where: str, settings: Mapping[str, Any]) -> Connection:
    """Connect to the server that the environment names.

    Raises:
        UserError: if the environment does not say where the server is.
    """
    url, key = (os.environ.get(settings[name], "").strip() for name in ("base_url_variable", "api_key_variable"))
    if not key.isascii() or not key.isprintable():
        raise UserError(
            f"{where}: the environment variable {settings['api_key_variable']} holds what cannot be a key: use printable ASCII."
        )
    if not url.startswith(("http://", "https://")):
        raise UserError(
            f"{where}: the environment variable {settings['base_url_variable']} must hold the server's address, "
            "http://… or https://…"
        )
    client = openai.OpenAI(base_url=url, api_key=key or "none", timeout=settings["timeout_s"], max_retries=0)
    return Connection(client, where, settings)


def send(server: Connection, stopping: threading.Event, call: Callable[[], T]) -> T:
    """What a call of the server gives.

    The call is tried again after a failure that may pass: no connection, no answer in time, too many requests, an error of the
    server, a broken reply.

    Args:
        stopping: set as soon as the job is to end. Nothing is tried again then.

    Raises:
        UserError: saying what is wrong, once that is clear.
    """
    retries = server.settings["retries"]
    for attempt in range(retries + 1):
        try:
            return call()
        except (openai.OpenAIError, ValueError) as error:
            sentence, passing = explain(server, error)
            if not passing:
                raise UserError(sentence) from None
            if attempt == retries or stopping.is_set():
                raise UserError(f"{sentence} It was asked {attempt + 1} times.") from None
            wait = pause(error, attempt)
            log.info("%s Trying again in %.1f s.", sentence, wait)
            stopping.wait(wait)
    raise AssertionError


def tokens_of(usage: Any) -> tuple[int, int] | None:
    """The tokens of a prompt and of its answer, as a reply's `usage` counts them.

    None if it does not count them; or not believably: with a number that is negative, not finite, huge or no number.
    """
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(usage, Mapping) else []
    whole = [int(count) for count in counts if _is_count(count)]
    return (whole[0], whole[1]) if len(whole) == 2 else None


def _is_count(value: Any) -> TypeGuard[int | float]:
    """Whether a value can be a number of tokens."""
    # A bool is an int. NaN is no whole number, and infinity is too large.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS and value % 1 == 0


def pause(error: Exception, attempt: int) -> float:
    """Seconds until the next attempt: as the server says, else twice as long each time, with some jitter."""
    headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
    try:
        asked = float(headers["retry-after"])
    except (KeyError, ValueError):
        asked = -1
    return min(asked, LONGEST_WAIT_S) if asked >= 0 else min(2.0**attempt, LONGEST_WAIT_S) * random.uniform(0.75, 1.25)


def explain(server: Connection, error: Exception) -> tuple[str, bool]:
    """A sentence about what went wrong, and whether the failure may pass.

    No part of the key gets into the sentence, although servers quote keys in their replies.
    """
    where, key = f"{server.where}: the server in {server.settings['base_url_variable']}", server.settings["api_key_variable"]
    match error:
        case openai.APITimeoutError():
            return f"{where} did not answer within {server.settings['timeout_s']:g} s.", True
        case openai.APIConnectionError():
            return f"{where} cannot be reached.", True
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"{where} refuses the key in {key} ({error.status_code}).", False
        case openai.APIStatusError():
            said = str(error.message).replace(os.environ.get(key, "").strip() or "\0", "…")[:300]
            passing = error.status_code in (408, 409, 429) or error.status_code >= 500
            hint = " Does the address end in /v1?" if error.status_code == 404 else ""
            return f"{where} answered {error.status_code}: {said}{hint}", passing
    return f"{where} sent a reply that cannot be read ({error}).", True
