"""Conversations of raw data, as OpenAI or ShareGPT lay them out, become turns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from loragrid.errors import UserError, nearest
from loragrid.records import Turn
from loragrid.runtime.files import half_character
from loragrid.text.words import shortened, trim

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "tool"),
}
"""Our roles by the names that data have for them."""


class Conversation(NamedTuple):
    """A conversation that ends with an answer."""

    turns: list[Turn]
    """Those before the answer."""
    answer: str

    @property
    def system(self) -> str:
        """The text of the system message; empty if there is none."""
        return "\n\n".join(turn.content for turn in self.turns if turn.role == "system")


def read_conversation(value: Any) -> Conversation:
    """The conversation in a value of raw data: a list of turns, or its JSON text.

    Raises:
        UserError: naming the turn, if it is not as expected.
    """
    value = _parsed(value)
    if not isinstance(value, list | tuple):
        raise UserError(f"found {_short(value)}; expected a list of turns.")
    turns = [_turn(f"turn {number}", turn) for number, turn in enumerate(value, start=1)]
    if not any(turn.role == "assistant" for turn in turns):
        raise UserError(f"none of the {len(turns)} turns is the assistant's; the last one has to be the answer.")
    *asked, last = turns
    if last.role != "assistant":
        raise UserError(f"the last turn, {len(turns)}, is of the role '{last.role}'; expected the assistant's answer.")
    if last.tool_calls:
        raise UserError(f"the last turn, {len(turns)}, calls a tool; expected an answer in text.")
    if all(turn.role == "system" for turn in asked):
        raise UserError("nothing is asked before the answer; expected a turn of the user.")
    return Conversation(asked, last.content)


def read_tools(value: Any) -> list[dict[str, Any]]:
    """The tools in a value of raw data: a list of functions as OpenAI describes them, or its JSON text.

    Raises:
        UserError: naming the tool, if it is not as expected.
    """
    value = _parsed(value)
    if _is_nothing(value):
        return []
    if not isinstance(value, list | tuple):
        raise UserError(f"found {_short(value)}; expected a list of tools.")
    return [_tool(f"tool {number}", tool) for number, tool in enumerate(value, start=1)]


def transcript(turns: Sequence[Turn]) -> str:
    """The turns as one text, without those of the system. A question that stands alone is given as it is."""
    said = [turn for turn in turns if turn.role != "system"]
    if len(said) == 1 and said[0].role == "user":
        return said[0].content
    return "\n\n".join(f"{turn.role.capitalize()}: {_said(turn)}" for turn in said)


def _said(turn: Turn) -> str:
    """What a turn says, with the tools that it calls."""
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in turn.tool_calls]
    return "\n".join([*([turn.content] if turn.content else []), *calls])


def answered_earlier(turns: Sequence[Turn]) -> Iterator[Sequence[Turn]]:
    """What stands before each earlier answer of the assistant."""
    return (turns[:place] for place, turn in enumerate(turns) if turn.role == "assistant" and place)


def _turn(where: str, value: Any) -> Turn:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {_short(value)}; expected a mapping with 'role' and 'content', or with 'from' and 'value'.")
    keys = ("role", "content") if value.get("role") is not None else ("from", "value")
    if value.get(keys[0]) is None:
        found = ", ".join(map(str, value)) or "nothing"
        raise UserError(f"{where} has {found}; expected 'role' and 'content', or 'from' and 'value'.")
    given = str(value[keys[0]])
    if (role := ROLES.get(given.casefold())) is None:
        raise UserError(f"{where} has the unknown role '{shortened(given)}'; {nearest(given.casefold(), ROLES)}")
    content, calls = value.get(keys[1]), value.get("tool_calls") or value.get("function_call")
    if given.casefold() == "function_call":
        content, calls = None, content
    turn = Turn(
        role=role,
        content=trim(_text(where, content)),
        tool_calls=_calls(where, calls),
        tool_call_id=None if value.get("tool_call_id") is None else str(value["tool_call_id"]),
        name=None if value.get("name") is None else str(value["name"]),
    )
    if turn.tool_calls and role != "assistant":
        raise UserError(f"{where} calls a tool, but is of the role '{role}'; only the assistant calls tools.")
    if not turn.content and not turn.tool_calls:
        raise UserError(f"{where}, of the role '{role}', is empty; expected text.")
    return turn


def _text(where: str, content: Any) -> str:
    """The text of a turn, which may stand in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list | tuple):
        return "\n".join(_part(where, part) for part in content)
    raise UserError(f"the content of {where} is {_short(content)}; expected text.")


def _part(where: str, part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) and part.get("type", "text") == "text" else part
    if not isinstance(text, str):
        kind = f"a part of type '{part.get('type')}'" if isinstance(part, Mapping) else _short(part)
        raise UserError(f"the content of {where} has {kind}; expected text only.")
    return text


def _calls(where: str, value: Any) -> list[dict[str, Any]]:
    value = _parsed(value)
    calls = [] if _is_nothing(value) else [value] if isinstance(value, Mapping) else value
    if not isinstance(calls, list | tuple):
        raise UserError(f"the tool calls of {where} are {_short(calls)}; expected a list.")
    return [_call(f"tool call {number} of {where}", call) for number, call in enumerate(calls, start=1)]


def _call(where: str, call: Any) -> dict[str, Any]:
    """A tool call as OpenAI writes it, but with arguments that are no text: chat templates take them so."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise UserError(f"{where} has no name; expected {{'function': {{'name': …, 'arguments': {{…}}}}}}.")
    arguments = _parsed(function.get("arguments"))
    if not isinstance(arguments, Mapping | None):
        raise UserError(f"the arguments of {where} are {_short(arguments)}; expected a mapping, or its JSON text.")
    named = {"type": "function", "function": {"name": function["name"], "arguments": _without_gaps(arguments or {})}}
    return named if call.get("id") is None else named | {"id": str(call["id"])}


def _tool(where: str, tool: Any) -> dict[str, Any]:
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str) or not function["name"]:
        raise UserError(f"{where} has no name; expected {{'type': 'function', 'function': {{'name': …, 'parameters': {{…}}}}}}.")
    described = _without_gaps(function)
    # Some data sets mark the function itself, besides what it stands in.
    described.pop("type", None) if tool is function else None
    return {"type": "function", "function": described}


def _without_gaps(value: Any) -> Any:
    """A value without the keys that have none: a table of rows gives each row the keys of all."""
    if isinstance(value, Mapping):
        return {str(key): _without_gaps(inner) for key, inner in value.items() if inner is not None}
    return [_without_gaps(inner) for inner in value] if isinstance(value, list | tuple) else value


def _is_nothing(value: Any) -> bool:
    """Whether there is no value: in a CSV file, an empty text."""
    return value is None or (isinstance(value, str) and not value.strip())


def _parsed(value: Any) -> Any:
    """A value, read from its JSON text if it is one: a CSV file has only texts."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    if half := half_character(parsed):
        raise UserError(f"'{half}' is half a character; expected text.")
    return parsed


def _short(value: Any) -> str:
    return shortened(repr(value))
