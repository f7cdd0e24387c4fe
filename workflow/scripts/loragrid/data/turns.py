"""Turns of a conversation as a chat template takes them: some refuse roles, or two turns of one role in a row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from loragrid.data.chat import ChatFormat, Message, Tools, in_words, without_system, write_prompt
from loragrid.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loragrid.records import Turn


class Fitted(NamedTuple):
    """A conversation as a chat template takes it."""

    messages: list[Message]
    changes: tuple[str, ...]
    """What was done to it, in words."""


MERGED = "turns of one role in a row stand in one turn"
FOLDED = "the system message stands at the beginning of the first question"


def as_messages(system_prompt: str | None, turns: Sequence[Turn]) -> list[Message]:
    """The turns before an answer as messages. System messages stand in the first one, behind the configured system prompt."""
    systems = [turn.content for turn in turns if turn.role == "system"]
    told = "\n\n".join(filter(None, [system_prompt, *systems]))
    messages: list[Message] = [{"role": "system", "content": told}] if system_prompt is not None or systems else []
    return [*messages, *(turn.model_dump() for turn in turns if turn.role != "system")]


def fit(tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, messages: Sequence[Message], tools: Tools, name: str) -> Fitted:
    """The messages as they are if the template writes all of them; else with turns merged, or without a system turn.

    It is tried out with words that cannot be mistaken in the place of the texts.

    Args:
        name: how sentences name the template.

    Raises:
        UserError: if the template refuses or loses a turn or a tool in any case.
    """
    problems: list[str] = []
    for tried in _forms(chat, messages):
        if not (found := _problem(tokenizer, chat, tried.messages, tools)):
            return tried
        problems.append(found)
    roles = ", ".join(message["role"] for message in messages)
    said = problems[0] if problems else "has no system turn, and the first other turn is not the user's"
    raise UserError(f"{name} {said}, in a conversation of {roles}.")


def _forms(chat: ChatFormat, messages: Sequence[Message]) -> Iterator[Fitted]:
    begins_with_system = messages[0]["role"] == "system"
    forms = [Fitted([*messages], ())] if chat.takes_system or not begins_with_system else []
    if begins_with_system and len(messages) > 1 and messages[1]["role"] == "user":
        forms.append(Fitted([*without_system(messages)], (FOLDED,)))
    for form in forms:
        yield form
        if len(merged := merge_turns(form.messages)) < len(form.messages):
            yield Fitted(merged, (MERGED, *form.changes))


def merge_turns(messages: Sequence[Message]) -> list[Message]:
    """Messages without two of the same role in a row, but for those of tools and those that call tools."""
    merged: list[Message] = []
    for message in messages:
        before = merged[-1] if merged else {"role": None}
        if message["role"] == before["role"] and message["role"] != "tool" and not {"tool_calls"} & {*message, *before}:
            merged[-1] = {**before, "content": f"{before['content']}\n\n{message['content']}"}
        else:
            merged.append(message)
    return merged


def _problem(tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, messages: Sequence[Message], tools: Tools) -> str:
    """What a template does to messages instead of writing them; empty if it writes all."""
    words = [f"loragridturn{place}end" if message["content"] else "" for place, message in enumerate(messages)]
    called = [
        [f"loragridcall{place}n{number}end" for number in range(len(one.get("tool_calls", ())))]
        for place, one in enumerate(messages)
    ]
    marked = [_marked(*told) for told in zip(messages, words, called, strict=True)]
    try:
        written = write_prompt(tokenizer, chat, marked, tools)
    except Exception as error:
        # A template is a program of somebody's: it may fail in any way.
        return f"refuses turns ({in_words(error)})"
    for place, (message, word, names) in enumerate(zip(messages, words, called, strict=True), start=1):
        if word not in written:
            return f"loses turn {place}, of the role '{message['role']}'"
        if any(name not in written for name in names):
            return f"does not show the tools that turn {place} calls"
    for tool in tools:
        if _spelled(tool["function"]["name"]) not in written:
            return "does not show tools"
    return ""


def _marked(message: Message, word: str, called: Sequence[str]) -> Message:
    """A message with other words in the place of its text and of the names of the tools that it calls."""
    calls = [
        {**call, "function": {**call["function"], "name": name}}
        for call, name in zip(message.get("tool_calls", ()), called, strict=True)
    ]
    return {**message, "content": word} | ({"tool_calls": calls} if calls else {})


def _spelled(name: str) -> str:
    """A name as JSON spells it."""
    return json.dumps(name, ensure_ascii=False)[1:-1]


def without_earliest(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The turns without the first question and all that belongs to it. System messages stay; empty if it is the only question."""
    asked = [place for place, turn in enumerate(turns) if turn.role == "user"]
    said = next((place for place, turn in enumerate(turns) if turn.role != "system"), 0)
    following = [place for place in asked if place > said and turns[place - 1].role != "user"]
    if not following:
        return ()
    return (*(turn for turn in turns[: following[0]] if turn.role == "system"), *turns[following[0] :])
