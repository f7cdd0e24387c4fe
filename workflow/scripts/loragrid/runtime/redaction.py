"""Keys, tokens and passwords are cut out of what a job prints or keeps: known ones in every spelling, others by their shape.

Servers and libraries quote what they were sent: masked, in an address, in a header, as base64. A job's log and sentences go to
others.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

CUT = "…"

_SECRET_WORDS = r"key|apikey|keys|token|secret|passw(?:or)?d|pass|passphrase|credentials?|auth"
_SECRET_NAME = re.compile(rf"(?:^|_)(?:{_SECRET_WORDS})(?:_|$)|(?:key|token|secret|password)$", re.IGNORECASE)
_PLACEHOLDERS = frozenset(
    [
        *("none", "null", "empty", "dummy", "test", "local", "localhost", "ollama", "vllm", "true", "false", "yes", "unset"),
        *("default", "key", "token", "secret", "password", "not-needed", "no-key-required"),
    ]
)
"""What people write where a server needs no key. To cut such words out of sentences would only hide what is said."""
_SHORTEST = 4
_WHOLE_WORD = 8
"""Shorter secrets are cut only where they stand as a word."""
_LONG = 16
"""Pieces of secrets from this length on are cut too."""
_PIECE = 8
_DEEPEST = 16
"""Texts of replies lie less deep."""
_registered: set[str] = set()


def keep_secret(value: str) -> None:
    """Have a value cut out of all that is printed from now on, whatever the variable that holds it is called."""
    if value:
        _registered.add(value)


def redacted(text: str) -> str:
    """A text without keys, tokens, passwords and pieces of them."""
    secrets = _known(tuple(sorted(_registered)), tuple(sorted(_from_environment())))
    text = _without_known(text, secrets)
    text = _without_shapes(text)
    return _without_masked(_without_pieces(text, secrets), secrets)


def without_keys(reply: Any, depth: int = _DEEPEST) -> Any:
    """A reply without the keys that were sent, in any spelling, but otherwise as it is.

    An answer is no message: what only looks like a key is a part of it, and so is a short word that somebody gives as a key.
    """
    if isinstance(reply, str):
        keys = _known(tuple(sorted(key for key in _registered if len(key) >= _LONG)))
        # Pieces as short as elsewhere might be words of the answer.
        return _without_pieces(_without_known(reply, keys), keys, _LONG)
    if isinstance(reply, list | dict) and not depth:
        return CUT
    if isinstance(reply, list):
        return [without_keys(one, depth - 1) for one in reply]
    return {name: without_keys(one, depth - 1) for name, one in reply.items()} if isinstance(reply, dict) else reply


def _from_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and not _is_path(value):
            yield value.strip()
        if "://" in value:
            yield from secrets_of_address(value)


def _is_path(value: str) -> bool:
    # Such as SSH_AUTH_SOCK.
    return value.startswith(("/", "~")) and Path(value).expanduser().exists()


def secrets_of_address(address: str) -> Iterator[str]:
    """What an address holds that is nobody's business: user and password, and keys among its fields."""
    for one in address.split():
        try:
            parts = urllib.parse.urlsplit(one)
        except ValueError:
            continue
        who, at, _ = parts.netloc.rpartition("@")
        if at:
            user, colon, password = who.partition(":")
            yield from (who, password if colon else user, urllib.parse.unquote(password if colon else user))
        for name, value in urllib.parse.parse_qsl(parts.query):
            if _SECRET_NAME.search(name.replace("-", "_")):
                yield value


def without_credentials(address: str) -> str:
    """An address as it may be shown."""
    return _ADDRESS.sub(rf"\1{CUT}@", address).partition("?")[0]


@lru_cache(maxsize=8)
def _known(*groups: Iterable[str]) -> tuple[str, ...]:
    found = {value.strip() for group in groups for value in group}
    kept = {value for value in found if len(value) >= _SHORTEST and value.casefold() not in _PLACEHOLDERS}
    # The longer first, so that no piece of one is left where a shorter one is a part of it.
    return tuple(sorted(kept, key=lambda value: (-len(value), value)))


def _without_known(text: str, secrets: tuple[str, ...]) -> str:
    may_be_escaped, folded = any(sign in text for sign in "%\\&"), text.casefold()
    for secret in secrets:
        # Most lines hold no secret, and a search by patterns takes a hundred times as long.
        if may_be_escaped or any(form in folded for form in _unescaped(secret)):
            for pattern in _spellings(secret):
                text = pattern.sub(CUT, text)
    return text


@lru_cache(maxsize=64)
def _unescaped(secret: str) -> tuple[str, ...]:
    """How a secret may be spelled without any sign of an escape, in lower case."""
    coded = _as_base64(secret.encode())
    coded += [one.replace("+", "-").replace("/", "_") for one in coded]
    forms = [secret, secret[::-1], secret.replace(" ", "+"), secret[::-1].replace(" ", "+"), secret.encode().hex(), *coded]
    return tuple(form.casefold() for form in forms)


@lru_cache(maxsize=64)
def _spellings(secret: str) -> tuple[re.Pattern[str], ...]:
    """Patterns of a secret: as it is or with any of its characters escaped, backwards, as base64 and in hexadecimal digits."""
    plain = "".join(_spelled(char) for char in secret)
    if len(secret) < _WHOLE_WORD:
        return (re.compile(rf"(?<!\w){plain}(?!\w)"),)
    backwards = "".join(_spelled(char) for char in reversed(secret))
    coded = "|".join("".join(_spelled_base64(char) for char in one) for one in _as_base64(secret.encode()))
    run = r"(?:[\w+/=-]|%(?:25)*(?:2b|2f|3d))*"
    # Basic headers hold a user's name before the key: all that belongs to the coded text goes.
    return (
        re.compile(f"{plain}|{backwards}|{secret.encode().hex()}", re.IGNORECASE),
        re.compile(f"{run}(?:{coded}){run}"),
    )


def _as_base64(secret: bytes) -> list[str]:
    """The characters that a secret alone decides on, wherever it stands within what is coded."""
    found = []
    for before, first in ((0, 0), (1, 2), (2, 3)):
        coded = base64.b64encode(b"\0" * before + secret).decode()
        found.append(coded[first : (before + len(secret)) * 8 // 6])
    return found


_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}


@lru_cache(maxsize=512)
def _spelled(char: str) -> str:
    """A pattern of a character and of its escapes in addresses, JSON, Python, HTML."""
    code = ord(char)
    as_bytes = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode(errors="replace"))
    units = char.encode("utf-16-be", errors="replace").hex()
    as_units = "".join(rf"\\+u{units[i : i + 4]}" for i in range(0, len(units), 4))
    ways = [rf"\\*{re.escape(char)}", as_bytes, as_units, f"&#0*{code};", f"&#x0*{code:x};", rf"\\+U{code:08x}"]
    if code < 256:
        ways.append(rf"\\+x{code:02x}")
    if char in _NAMED:
        ways.append(f"&{_NAMED[char]};")
    if char == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


def _spelled_base64(char: str) -> str:
    return {"+": r"(?:[+-]|%(?:25)*2[bB])", "/": r"(?:[/_]|\\/|%(?:25)*2[fF])"}.get(char, re.escape(char))


_ADDRESS = re.compile(r"""([a-z][a-z0-9+.-]*:\\?/\\?/)[^\s/'"<>?#]*@""", re.IGNORECASE)
_HAS_DIGIT = r"(?=[\w./+=~-]*\d)"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (_ADDRESS, rf"\1{CUT}@"),
    (re.compile(r"(%3a%2f%2f)[^\s&?]*?%40", re.IGNORECASE), rf"\1{CUT}%40"),
    (
        re.compile(rf"""([?&;](?:amp;)?(?:[\w.-]*[_.-])?(?:{_SECRET_WORDS}|sig|signature|apikey)=)[^\s&#'"<>]+""", re.IGNORECASE),
        rf"\1{CUT}",
    ),
    (
        re.compile(
            r"""((?:proxy-)?authorization|x-api-key|api-key|set-cookie|cookie)(["']?\s*[:=]\s*["']?)"""
            r"""(?:(?:bearer|basic|token|negotiate)\s+)?[^\s"',;}]+""",
            re.IGNORECASE,
        ),
        rf"\1\2{CUT}",
    ),
    (re.compile(rf"\b(bearer|basic)\s+{_HAS_DIGIT}[\w.~+/=-]{{8,}}", re.IGNORECASE), rf"\1 {CUT}"),
    (
        re.compile(
            rf"(?<![\w-])(?:(?:sk|pk|rk|xai|nvapi|glpat|pypi)-{_HAS_DIGIT}[\w-]{{12,}}|(?:hf|gsk|r8|github_pat|gh[pousr])_\w{{16,}}"
            r"|xox[abeoprs]-[\w-]{10,}|AKIA[0-9A-Z]{12,}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?)"
        ),
        CUT,
    ),
)


def _without_shapes(text: str) -> str:
    for pattern, put in _SHAPES:
        text = pattern.sub(put, text)
    return text


def _without_pieces(text: str, secrets: Iterable[str], length: int = _PIECE) -> str:
    """A text without pieces of long secrets: a reply may have been cut off within one."""
    for secret in secrets:
        if len(secret) < _LONG or not re.search(r"\d", secret) or not re.search(r"[A-Za-z]", secret):
            continue
        covered: set[int] = set()
        for start in range(len(secret) - length + 1):
            piece, at = secret[start : start + length], -1
            while (at := text.find(piece, at + 1)) >= 0:
                covered.update(range(at, at + length))
        if covered:
            marked = "".join("\0" if place in covered else char for place, char in enumerate(text))
            text = re.sub("\0+", CUT, marked)
    return text


_MASK = re.compile(r"(?P<before>[\w.+/=-]*?)(?P<mask>\*{2,}|[•·█]{2,}|(?:…|\.{3,})+|[xX]{4,})(?P<after>[\w+/=-]*)")
"""How a key is shown in part: `sk-…abcd`, `sk-****abcd`, `sk-proj-xxxxabcd`."""


def _without_masked(text: str, secrets: Iterable[str]) -> str:
    def cut(found: re.Match[str]) -> str:
        before, mask, after = found["before"], found["mask"], found["after"]
        if mask[0] in "*•·█" and len(mask) > 2 and (before or after):
            return CUT
        for secret in secrets:
            begins = next((n for n in range(min(len(before), len(secret)), 1, -1) if before.endswith(secret[:n])), 0)
            ends = next((n for n in range(min(len(after), len(secret)), 1, -1) if after.startswith(secret[-n:])), 0)
            if begins or ends:
                return before[: len(before) - begins] + CUT + after[ends:]
        return found[0]

    return _MASK.sub(cut, text)
