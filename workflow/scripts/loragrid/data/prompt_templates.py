"""Prompt formats other than a chat: Jinja templates of this workflow and of users."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from loragrid.errors import UserError
from loragrid.runtime.templates import fill_template

_INSTRUCTION, _INPUT, _SYSTEM = "loragridinstruction", "loragridinput", "loragridsystem"
_SHOWN: Mapping[str, str] = {
    "instruction": "loragridshowninstruction",
    "input": "loragridshowninput",
    "output": "loragridshownoutput",
}


def prompt_template(prompt_format: str) -> Path | None:
    """The file of a prompt format; None for `chat`, whose template the tokenizer has. `auto` falls back on plain."""
    if prompt_format == "chat":
        return None
    return Path(f"data/prompts/{'plain' if prompt_format == 'auto' else prompt_format}.jinja")


def fill_prompt(
    template: str, instruction: str, input_: str, system_prompt: str | None, demonstrations: Sequence[Mapping[str, str]] = ()
) -> str:
    """The text of a prompt, up to where the answer starts.

    A prompt that shows demonstrations ends as these do before their answers: white space that only the question has is left out.

    Args:
        demonstrations: each with `instruction`, `input` and `output`.
    """
    known = {"instruction": instruction, "input": input_, "system_prompt": system_prompt or ""}
    text = fill_template(template, known | {"demonstrations": list(demonstrations)})
    surplus = len(surplus_end(template, bool(input_))) if demonstrations else 0
    return text[: len(text) - surplus]


@cache
def surplus_end(template: str, has_input: bool = True) -> str:
    """White space at the end of a template's prompts that its demonstrations lack before their answers.

    An editor's final newline is such: after `A:` it moves the answer to a line of its own, but the demonstrations have it behind.
    Without demonstrations it stays, since models are trained and asked with it.
    """
    text = _probe(template, False, has_input, shows=True) or ""
    before, output, behind = text.partition(_SHOWN["output"])
    if not output:
        return ""
    shown, asked = _behind(before, list(_SHOWN.values())), _behind(behind, (_INSTRUCTION, _INPUT))
    # Words before an answer may differ, as in "Example answer:" and "Answer:". The sign before it does not.
    if shown is None or asked is None or shown.rstrip()[-1:] != asked.rstrip()[-1:]:
        return ""
    ends = [text[len(text.rstrip()) :] for text in (asked, shown)]
    common = takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return ends[0][len(list(common)) :]


def has_surplus_end(template: str) -> bool:
    """Whether the end of prompts with demonstrations depends on the rule about white space."""
    return bool(surplus_end(template, True) or surplus_end(template, False))


@cache
def lost_texts(template: str, has_system_prompt: bool, has_input: bool, has_demonstrations: bool) -> str:
    """What a template does not show of the question, the system prompt and the demonstrations; empty if it shows all."""
    text = _probe(template, has_system_prompt, has_input, has_demonstrations)
    if text is None:
        return ""
    # A template may change the case of a text.
    text, lost = text.casefold(), []
    if has_input and _INPUT not in text:
        lost.append("the input of the question (`input`)")
    if not has_input and _INSTRUCTION not in text:
        lost.append("the question (`instruction`)")
    if has_system_prompt and _SYSTEM not in text:
        lost.append("the system prompt (`system_prompt`)")
    if has_demonstrations and _SHOWN["output"] not in text:
        lost.append("the demonstrations (`demonstrations`, each with `instruction`, `input` and `output`)")
    return " and ".join(lost)


def _probe(template: str, has_system_prompt: bool, has_input: bool, shows: bool) -> str | None:
    """A prompt of texts that cannot be mistaken; None if the template fails, which real prompts tell in a sentence."""
    one: dict[str, Any] = {**_SHOWN, "input": _SHOWN["input"] if has_input else ""}
    known = {
        "instruction": _INSTRUCTION,
        "input": _INPUT if has_input else "",
        "system_prompt": _SYSTEM if has_system_prompt else "",
        "demonstrations": [one] if shows else [],
    }
    try:
        return fill_template(template, known)
    except UserError:
        return None


def _behind(text: str, words: Collection[str]) -> str | None:
    """What follows the last of the words in a text; None if there is none of them."""
    ends = [text.rindex(word) + len(word) for word in words if word in text]
    return text[max(ends) :] if ends else None
