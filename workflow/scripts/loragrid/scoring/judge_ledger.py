"""What a judge has said so far, and what that has cost."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from loragrid.runtime.journal import append_to_journal, read_journal
from loragrid.sections import Price

SENT = "sent/"
"""How the keys of requests begin in a store."""

ADDED_TOKENS = 256
"""The number of tokens that a server's own prompt format may add to a conversation."""


class Tokens(NamedTuple):
    """What requests cost."""

    prompt: int
    new: int


NO_TOKENS = Tokens(0, 0)


class Judgement(NamedTuple):
    """A judge's answer, as it is kept."""

    text: str
    refused: bool
    """The server says that the text is a refusal."""
    cut_off: bool
    prompt_tokens: int
    new_tokens: int

    @property
    def tokens(self) -> Tokens:
        """What it cost."""
        return Tokens(self.prompt_tokens, self.new_tokens)


class OverBudgetError(Exception):
    """The next request might cost more than what is left."""


def cost(tokens: Tokens, price: Price) -> float:
    """What tokens cost."""
    return (tokens.prompt * price.million_prompt_tokens + tokens.new * price.million_new_tokens) / 1e6


def upper_bound(fields: Mapping[str, Any], max_new_tokens: int) -> Tokens:
    """The most tokens that a request can cost. A token has at least one byte, and JSON only adds to them."""
    return Tokens(len(json.dumps(fields, ensure_ascii=False).encode()) + ADDED_TOKENS, max_new_tokens)


def _kept_entry(key: str, value: Any) -> Judgement | Tokens | None:
    """An entry as a store holds it: a judgement, or the most that a request can cost; None if its cost is known since.

    Raises:
        ValueError: if it is none.
    """
    if not key.startswith(SENT):
        return _JUDGEMENT.validate_python(value)
    return None if value is None else _TOKENS.validate_python(value)


_JUDGEMENT, _TOKENS = TypeAdapter(Judgement), TypeAdapter(Tokens)


class Ledger:
    """A judge's store, and the sum of its costs.

    Each request is entered before it is sent, so that no death can hide what it cost.
    """

    def __init__(self, store: Path, price: Price | None, budget: float | None) -> None:
        self.store, self.price, self.budget = store, price, budget
        entries = read_journal(store, _kept_entry)
        self.judgements = {key: entry for key, entry in entries.items() if isinstance(entry, Judgement)}
        counts = [entry.tokens if isinstance(entry, Judgement) else entry for entry in entries.values() if entry]
        # Earlier versions kept what servers said, even negative numbers, which would let others go beyond the budget.
        self.total = Tokens(sum(max(0, tokens.prompt) for tokens in counts), sum(max(0, tokens.new) for tokens in counts))
        self.in_flight = 0
        self.changed = threading.Condition()

    def enter(self, bound: Tokens, stopping: threading.Event) -> str:
        """Enter a request that is about to be sent, with the most that it can cost.

        Waits for others, which may cost less than they could.

        Raises:
            OverBudgetError: where the budget might be exceeded.
        """
        with self.changed:
            while self.budget is not None and self.price is not None and cost(self._with(bound), self.price) > self.budget:
                if not self.in_flight or stopping.is_set():
                    raise OverBudgetError
                self.changed.wait()
            entry = f"{SENT}{uuid.uuid4().hex}"
            append_to_journal(self.store, {entry: bound})
            self.total = self._with(bound)
            self.in_flight += 1
            return entry

    def close(self, entry: str, bound: Tokens, spent: Tokens, new: Mapping[str, Judgement]) -> None:
        """Close an entry with the actual cost of the request, and with its judgement, if any."""
        with self.changed:
            try:
                if spent != bound or new:
                    judgements = {key: judgement._asdict() for key, judgement in new.items()}
                    append_to_journal(self.store, judgements | {entry: None})
                self.judgements |= new
                self.total = self._with(Tokens(spent.prompt - bound.prompt, spent.new - bound.new))
            finally:
                # Others wait for this, even if the disk is full.
                self.in_flight -= 1
                self.changed.notify_all()

    def _with(self, more: Tokens) -> Tokens:
        return Tokens(self.total.prompt + more.prompt, self.total.new + more.new)
