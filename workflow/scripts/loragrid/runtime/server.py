"""Talk to a server with an OpenAI-compatible API: patiently, and without telling anyone the key."""

from __future__ import annotations

import os
import random
import re
import socket
import ssl
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard, TypeVar

import httpx2
import openai

from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.redaction import keep_secret, redacted, secrets_of_address, without_keys

LONGEST_WAIT_S = 300.0
LARGEST_REPLY = 64 << 20
"""Bytes."""
SHOWN = 300
"""So many characters of what a server says stand in a sentence."""


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
    keep_secret(key)
    for secret in secrets_of_address(url):
        keep_secret(secret)
    return Connection(_client(where, settings, url, key), where, settings)


def _client(where: str, settings: Mapping[str, Any], url: str, key: str) -> openai.OpenAI:
    try:
        # The library's own limit is for each part of a reply: one that trickles in would never end.
        hooks: dict[str, list[Callable[..., Any]]] = {"response": [lambda response: limit(response, settings["timeout_s"])]}
        http_client = openai.DefaultHttpxClient(event_hooks=hooks, timeout=settings["timeout_s"])
        return openai.OpenAI(
            base_url=url, api_key=key or "none", timeout=settings["timeout_s"], max_retries=0, http_client=http_client
        )
    except ImportError as error:
        raise UserError(f"{where}: {proxy_problem(error)}") from None
    except (httpx2.InvalidURL, ValueError) as error:
        if (proxy := proxy_problem(error)) and "proxy" in str(error).casefold():
            raise UserError(f"{where}: {proxy}") from None
        raise UserError(
            f"{where}: the environment variable {settings['base_url_variable']} holds no address that can be asked "
            f"({redacted(str(error))}); expected one such as http://127.0.0.1:8000/v1"
        ) from None


def limit(response: httpx2.Response, most_s: float) -> None:
    """Have the rest of a reply come within some seconds, and be of a size that an answer may have."""
    response.stream = _Limited(response.stream, time.monotonic() + most_s)


class _Limited(httpx2.SyncByteStream):
    def __init__(self, stream: Any, until: float) -> None:
        self._stream, self._until = stream, until

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > LARGEST_REPLY:
                raise TooLargeError(f"more than {LARGEST_REPLY >> 20} MiB")
            if time.monotonic() > self._until:
                raise httpx2.ReadTimeout("the reply did not end in time")
            yield part

    def close(self) -> None:
        self._stream.close()


class TooLargeError(ValueError):
    """A reply is larger than any answer."""


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
        except (openai.OpenAIError, ValueError, RecursionError) as error:
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
    variable, key = server.settings["base_url_variable"], server.settings["api_key_variable"]
    where = f"{server.where}: the server in {variable}"
    match error:
        case TooLargeError():
            return f"{where} sent a reply of more than {LARGEST_REPLY >> 20} MiB; no answer is so long.", False
        case openai.APITimeoutError():
            return f"{where} did not answer within {server.settings['timeout_s']:g} s ({server.where}.timeout_s).", True
        case openai.APIConnectionError():
            return _unreachable(where, variable, error)
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return f"{where} refuses the key in {key} ({error.status_code}).", False
        case openai.APIStatusError():
            passing = error.status_code in (408, 409, 429) or error.status_code >= 500
            return f"{where} answered {error.status_code}: {_what_it_said(error)}{_hint(error)}", passing
    return f"{where} sent a reply that cannot be read ({_shown(str(error))}).", True


def _unreachable(where: str, variable: str, error: Exception) -> tuple[str, bool]:
    """The sentence about a server that gave no reply, and whether that may pass."""
    said = " ".join(str(one) for one in causes(error))
    kinds = {type(one) for one in causes(error)}
    if httpx2.TooManyRedirects in kinds:
        return f"{where} sends requests from one address to the next without end; correct {variable}.", False
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            f"{where} has a certificate that this machine does not trust; name the certificate's authority in SSL_CERT_FILE, or "
            f"correct {variable}."
        ), False
    if {ssl.SSLError, ssl.SSLEOFError, ssl.SSLZeroReturnError} & kinds or "SSL:" in said:
        return f"{where} does not speak TLS there; should {variable} begin with http://?", False
    if httpx2.ProxyError in kinds:
        return f"{where} cannot be reached: the proxy in the environment refuses ({_shown(str(error.__cause__))}).", True
    if socket.gaierror in kinds or "Name or service not known" in said or "name resolution" in said:
        return f"{where} cannot be reached: nobody knows a machine of that name; see {variable}.", True
    if ConnectionRefusedError in kinds or "Connection refused" in said:
        return f"{where} cannot be reached: nothing listens there. Does it run, and is the port in {variable} its own?", True
    if httpx2.RemoteProtocolError in kinds:
        return f"{where} closed the connection without a whole reply.", True
    return f"{where} cannot be reached.", True


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that led to it."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__


def _what_it_said(error: openai.APIStatusError) -> str:
    """What a server said of an error; its status stands before it already."""
    said = re.sub(r"^Error code: \d+( - )?", "", str(error.message))
    return "it sent a web page." if _is_page(error.response.text) else _shown(said) or "it gave no reason."


def _hint(error: openai.APIStatusError) -> str:
    if error.status_code == 404:
        return " Does the address end in /v1?"
    if 300 <= error.status_code < 400 or _is_page(error.response.text):
        return " Is this the address of the API itself? It usually ends in /v1."
    return ""


def _is_page(text: str) -> bool:
    return re.search(r"<!doctype html|<html[\s>]", text[:2000], re.IGNORECASE) is not None


def reply_of(reply: Any) -> dict[str, Any]:
    """A server's reply, if it is a JSON object; without the keys that were sent, which it may quote in an answer too.

    Raises:
        ValueError: saying what it is instead.
    """
    if isinstance(reply, dict):
        return dict(without_keys(reply))
    if isinstance(reply, str) and _is_page(reply):
        raise ValueError("it is a web page instead of JSON: does the address end in /v1?")
    if isinstance(reply, str) and reply.lstrip().startswith(("data:", "event:")):
        raise ValueError("it is a stream: leave `stream` out of the settings")
    raise ValueError("the reply is not a JSON object")


def _shown(text: str) -> str:
    """What a server said, without secrets, in one short line."""
    return textwrap.shorten(redacted(text), SHOWN, placeholder=" …")


def proxy_problem(error: Exception) -> str:
    """The sentence about a proxy of the environment that the client of HTTP does not take."""
    proxies = {name: value for name, value in os.environ.items() if name.upper().endswith("_PROXY") and "://" in value}
    socks = [name for name, value in proxies.items() if value.casefold().startswith("socks")]
    odd = [name for name, value in proxies.items() if not value.casefold().startswith(("socks5", "http://", "https://"))]
    if odd:
        return (
            f"the environment variable {odd[0]} names a proxy of a kind that is not known; expected http://…, https://… or "
            "socks5://…, or nothing."
        )
    if socks and isinstance(error, ImportError):
        return (
            f"the environment variable {socks[0]} names a SOCKS proxy, which needs another package: "
            ".venv/bin/python -m pip install socksio; or unset the variable, or name the server in NO_PROXY."
        )
    return redacted(str(error))
