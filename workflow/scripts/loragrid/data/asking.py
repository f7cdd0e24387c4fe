"""How a trained model is asked elsewhere: with a chat template that writes its prompts, or with text around texts.

A chat template that belongs to another format would mislead. So each is tried out, and one that writes other prompts is none.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.data.render import Rendered, Renderer, Request, render
from loragrid.errors import UserError
from loragrid.runtime.job import log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUESTION, INPUT = "loragridthequestion", "loragridtheinput"
"""Texts that stand for those of a user."""
_LONGEST = 1 << 20


class Asking(NamedTuple):
    """How a trained model is asked."""

    chat_template: str | None
    """Text of the chat template that writes its prompts; None if none can."""
    messages: tuple[Mapping[str, Any], ...]
    """A question with an input, as the chat template takes it."""
    arguments: Mapping[str, Any]
    """What the template is told besides."""
    prompts: tuple[str, str] | None
    """The prompts of a question with an input and of one without, as text of which the tokenizer makes the right tokens."""
    ends: Sequence[int]
    """The ids that end an answer."""
    pad: int

    def fit(self, tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
        """A copy of the tokenizer that has this chat template, or none."""
        fitted = copy.deepcopy(tokenizer)
        fitted.chat_template = self.chat_template
        return fitted


def asking(renderer: Renderer, ends: Sequence[int], pad: int) -> Asking:
    """How a model that was trained with a renderer is asked.

    Args:
        ends: the ids that end its answers.
        pad: an id that fills up batches.
    """
    template = _chat_template(renderer)
    arguments = dict(renderer.chat.arguments) if renderer.chat else {}
    found = Asking(template, _messages(renderer, Request(QUESTION, INPUT)), arguments, _prompts(renderer), ends, pad)
    if template is not None and not _writes_the_same(renderer, found):
        log.info("no chat template writes the prompts of %s", renderer.name)
        return found._replace(chat_template=None)
    return found


def _chat_template(renderer: Renderer) -> str | None:
    if renderer.template is None:
        text, day = str(renderer.tokenizer.get_chat_template()), renderer.chat.date if renderer.chat else None
        return at_day(text, day) if day else text
    return as_chat_template(renderer.template, renderer.system_prompt or "", renderer.tokenizer)


def at_day(template: str, day: str) -> str:
    """A chat template that writes always the same day, in the form that it asks for."""
    date = datetime.datetime.fromisoformat(day)
    return re.sub(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""", lambda found: repr(date.strftime(found[2])), template)


_AROUND = """\
{%- set asked = namespace(system_prompt=SYSTEM, demonstrations=[], instruction='', input='') -%}
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{%- set asked.system_prompt = message['content'] -%}
{%- elif message['role'] == 'assistant' -%}
{%- set shown = {'instruction': asked.instruction, 'input': asked.input, 'output': message['content']} -%}
{%- set asked.demonstrations = asked.demonstrations + [shown] -%}
{%- else -%}
{%- set asked.instruction = message['content'] -%}
{%- set asked.input = message['input'] | default('') -%}
{%- endif -%}
{%- endfor -%}
{%- set instruction, input = asked.instruction, asked.input -%}
{%- set system_prompt, demonstrations = asked.system_prompt, asked.demonstrations -%}
"""


def as_chat_template(template: str, system_prompt: str, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """A prompt's template as a chat template: the last turn of the user is the instruction, its `input` the input.

    Returns:
        None if the template's syntax is not one of chat templates.
    """
    from jinja2 import Environment, TemplateError

    try:
        tokens = list(Environment(keep_trailing_newline=True).lex(template))
    except TemplateError:
        return None
    # transformers drops the line break behind a block and the spaces before it, unless a plus says otherwise.
    written = []
    for _, kind, value in tokens:
        if kind == "block_begin":
            value = value if value[-1] in "-+" else f"{value}+"
        elif kind == "block_end":
            value = value if value[0] in "-+" else f"+{value}"
        if not kind.startswith("comment"):
            written.append(value)
    text = "".join(written)
    if text.endswith("\n"):
        text = f"{text[:-1]}{{{{ '\\n' }}}}"
    first = tokenizer("").input_ids[:1]
    begins = "{{- bos_token }}" if first and first[0] == tokenizer.bos_token_id else "{{- '' }}"
    return f"{_AROUND.replace('SYSTEM', repr(system_prompt))}{begins}{text}"


def _messages(renderer: Renderer, request: Request) -> tuple[Mapping[str, Any], ...]:
    """A request as the messages of a chat template."""
    if renderer.template is not None:
        system = [{"role": "system", "content": renderer.system_prompt}] if renderer.system_prompt else []
        asked = {"role": "user", "content": request.instruction} | ({"input": request.input} if request.input else {})
        shown: list[Mapping[str, Any]] = []
        for one in request.demonstrations:
            shown.append({"role": "user", "content": one.instruction} | ({"input": one.input} if one.input else {}))
            shown.append({"role": "assistant", "content": one.references[0]})
        return (*system, *shown, asked)
    rendered = _rendered(renderer, request)
    parts = renderer.chat.as_parts if renderer.chat else ()
    return tuple(
        {**one, "content": [{"type": "text", "text": one["content"]}]} if one["role"] in parts else one
        for one in (rendered.messages if rendered else ())
    )


def _rendered(renderer: Renderer, request: Request) -> Rendered | None:
    try:
        return render(renderer, request, None, _LONGEST)
    except UserError:
        # The template does not show a part of such a request, which it then never gets.
        return None


def _requests() -> list[Request]:
    return [Request(QUESTION, INPUT), Request(f"{QUESTION}\nin two lines:", ""), Request(QUESTION, f"  {INPUT}\n\nend ")]


def _writes_the_same(renderer: Renderer, found: Asking) -> bool:
    """Whether a chat template writes the tokens of the prompts that the renderer writes."""
    tokenizer = found.fit(renderer.tokenizer)
    for request in _requests():
        expected = _rendered(renderer, request)
        if expected is None:
            continue
        try:
            messages = [dict(one) for one in _messages(renderer, request)]
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **found.arguments)
        except Exception:
            # A template is a program, which may use what only this workflow knows.
            return False
        if list(tokenizer(text, add_special_tokens=False).input_ids) != expected.prompt_ids:
            return False
    return True


def _prompts(renderer: Renderer) -> tuple[str, str] | None:
    """The prompts of two requests as text; None if the texts are changed in it, or no text gives the right tokens."""
    found = []
    for request in (Request(QUESTION, INPUT), Request(QUESTION, "")):
        rendered = _rendered(renderer, request)
        if rendered is None:
            return None
        for text in (rendered.prompt, f"{renderer.tokenizer.bos_token or ''}{rendered.prompt}"):
            if list(renderer.tokenizer(text, add_special_tokens=False).input_ids) == rendered.prompt_ids:
                break
        else:
            return None
        if QUESTION not in text or (request.input and INPUT not in text):
            return None
        found.append(text)
    return found[0], found[1]
