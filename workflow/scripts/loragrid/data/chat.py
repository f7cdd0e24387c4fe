"""Chat templates: how a conversation becomes the text of a prompt, and proof that nothing of it is lost on the way."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.errors import UserError
from loragrid.patches.transformers_clock import clock_at
from loragrid.patches.transformers_templates import fill_chat_templates_in
from loragrid.runtime.job import log
from loragrid.runtime.template_limits import BoundedEnvironment, counted_steps
from loragrid.text.thoughts import opened_by

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, Any]
"""A turn of a conversation: its `role` and its `content`, perhaps with `tool_calls`."""

Tools = Sequence[Mapping[str, Any]]
"""Functions as OpenAI's format describes them."""

FIXED_DATE = "2024-07-26"
"""The date that prompts tell where nothing else is said: that of Llama 3.2's template where a program has no clock."""

PASSED_ALREADY = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "max_length",
        "messages",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "sanitize_control_tokens",
        "strftime_now",
        "tokenize",
        "tokenizer_kwargs",
        "truncation",
    }
)
"""Names that cannot be arguments of a configuration: the renderer or the library decides on them."""

_SYSTEM, _ANSWER, _QUESTION, _INPUT, _NEXT = (f"loragrid{part}" for part in ("system", "answer", "question", "input", "next"))
_NAMES = {
    _SYSTEM: "the system prompt",
    _QUESTION: "the question",
    _INPUT: "the input of the question",
    _ANSWER: "the answer",
    _NEXT: "the question after it",
}
_WORDS = re.compile("|".join(_NAMES))
_ROLES = ("system", "user", "assistant")
_AS_PARTS: tuple[tuple[str, ...], ...] = ((), _ROLES, ("user",), ("user", "assistant"))


class ChatFormat(NamedTuple):
    """How a tokenizer's chat template is used."""

    arguments: Mapping[str, Any] = {}
    """What the template is told besides the conversation."""
    date: str = FIXED_DATE
    """The day that it is for the template."""
    as_parts: Collection[str] = ()
    """The roles whose texts the template wants as lists of parts."""
    takes_system: bool = True
    """Whether the template has a system turn. If not, the system prompt stands before the first question."""
    begins_answers: bool = True
    """Whether the template can write how an answer begins. If not, that is read off an answer that it has written."""
    lost_turns: str = ""
    """What is lost of a conversation with an earlier question and its answer; empty if nothing is."""
    opened_thought: str = ""
    """The closing mark of the thought that a prompt opens; empty if it opens none."""
    written: str = ""
    """What the template writes around texts."""


def write_prompt(tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, messages: Sequence[Message], tools: Tools = ()) -> str:
    """A conversation as the text of a prompt, up to where the next answer starts."""
    if chat.begins_answers:
        return write_chat(tokenizer, chat, messages, begin_answer=True, tools=tools)
    answered = write_chat(tokenizer, chat, [*messages, {"role": "assistant", "content": _ANSWER}], tools=tools)
    return answered[: answered.rindex(_ANSWER)]


def write_chat(
    tokenizer: PreTrainedTokenizerBase,
    chat: ChatFormat,
    messages: Sequence[Message],
    begin_answer: bool = False,
    tools: Tools = (),
) -> str:
    """A conversation as text.

    Args:
        tools: what the template is told of tools that the model may call, in OpenAI's format.
    """
    told = {"tools": [*tools]} if tools else {}
    fill_chat_templates_in(BoundedEnvironment)
    with clock_at(chat.date), counted_steps():
        written = tokenizer.apply_chat_template(
            _as_taken(chat, messages), tokenize=False, add_generation_prompt=begin_answer, **told, **chat.arguments
        )
    return str(written)


def marks_answers(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a chat template marks what the assistant says, by a block `generation`."""
    return re.search(r"\{%-?\s*generation\s*-?%\}", tokenizer.get_chat_template()) is not None


def marked_answers(
    tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, messages: Sequence[Message], tools: Tools
) -> tuple[str, list[tuple[int, int]]]:
    """A prompt of a template that marks what the assistant says, and where that stands in it, in characters."""
    from transformers.utils.chat_template_utils import render_jinja_template

    told: dict[str, Any] = {**tokenizer.special_tokens_map, **chat.arguments} | ({"tools": [*tools]} if tools else {})
    fill_chat_templates_in(BoundedEnvironment)
    with clock_at(chat.date), counted_steps():
        written, spans = render_jinja_template(
            [_as_taken(chat, messages)],
            chat_template=tokenizer.get_chat_template(),
            return_assistant_tokens_mask=True,
            add_generation_prompt=True,
            **told,
        )
    return str(written[0]), list(spans[0])


def _as_taken(chat: ChatFormat, messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages in the form that a template takes."""
    return [
        {**one, "content": [{"type": "text", "text": one["content"]}] if one["role"] in chat.as_parts else one["content"]}
        for one in (messages if chat.takes_system or not messages else without_system(messages))
    ]


def without_system(messages: Sequence[Message]) -> list[Message]:
    """A conversation whose system prompt stands before the first question, as the templates of Gemma 3 write it."""
    if messages[0]["role"] != "system":
        return list(messages)
    system, first, *others = messages
    # An empty one only keeps a template from writing its own.
    before = f"{system['content']}\n\n" if system["content"] else ""
    return [{**first, "content": f"{before}{first['content']}"}, *others]


def examine(
    tokenizer: PreTrainedTokenizerBase, name: str, arguments: Mapping[str, Any], date: str, has_system_prompt: bool
) -> tuple[ChatFormat, str]:
    """Find out, with texts that cannot be mistaken, how a chat template is to be used.

    Args:
        name: how sentences name the template.

    Returns:
        How it is used, and what it writes after an answer.

    Raises:
        UserError: if it loses a text, or tells the time by other means than `strftime_now`.
    """
    _refuse_unread(_text_of(tokenizer, name), name, arguments)
    system = [{"role": "system", "content": _SYSTEM}] if has_system_prompt else []
    question = [*system, {"role": "user", "content": f"{_QUESTION}\n\n{_INPUT}"}]
    answered = [*question, {"role": "assistant", "content": _ANSWER}]
    chat = _usable(tokenizer, name, ChatFormat(arguments, date), question)
    if not chat.takes_system:
        log.warning("%s has no system turn: the system prompt stands at the beginning of the first question", name)
    if lost := _lost(tokenizer, chat, answered, answered[-1:]):
        raise UserError(f"{name} {lost}; prompts have to end where answers begin.")
    prompt, whole = write_chat(tokenizer, chat, question, begin_answer=True), write_chat(tokenizer, chat, answered)
    if prompt == write_chat(tokenizer, chat, question):
        # A template may write the turn of a question in another way once it is answered. So only what follows is compared. What
        # only differs in white space is as models of such templates were taught.
        follows, before_answer = prompt.rpartition(_INPUT)[2], whole[: whole.rindex(_ANSWER)].rpartition(_INPUT)[2]
        chat = chat._replace(begins_answers=before_answer.rstrip() == follows.rstrip())
    if missing := _missing(write_prompt(tokenizer, chat, question), question):
        raise UserError(f"{name} loses {missing} where it begins an answer.")
    turns = [*answered, {"role": "user", "content": _NEXT}]
    chat = chat._replace(lost_turns=_lost(tokenizer, chat, turns))
    opened = opened_by(write_prompt(tokenizer, chat, question)) or ""
    if opened:
        log.warning("%s opens a thought at the end of each prompt: answers begin inside it, until %s", name, opened)
    written = "\0".join([*_WORDS.split(prompt), *_WORDS.split(whole)])
    return chat._replace(opened_thought=opened, written=written), whole.rpartition(_ANSWER)[2]


def _text_of(tokenizer: PreTrainedTokenizerBase, name: str) -> str:
    try:
        return str(tokenizer.get_chat_template())
    except ValueError:
        known = ", ".join(tokenizer.chat_template or ())
        raise UserError(f"{name} is one of several ({known}), and none is the default; name a file as chat_template.") from None


def _refuse_unread(template: str, name: str, arguments: Mapping[str, Any]) -> None:
    for argument in arguments:
        if not re.search(rf"\b{re.escape(argument)}\b", template):
            raise UserError(f"chat_template_arguments: {name} does not read '{argument}'.")


def _usable(tokenizer: PreTrainedTokenizerBase, name: str, chat: ChatFormat, question: Sequence[Message]) -> ChatFormat:
    """How a template is used so that a prompt has all texts: as it is if possible, else with parts or without a system turn."""
    first_lost = ""
    for takes_system in (True, False) if question[0]["role"] == "system" else (True,):
        for as_parts in _AS_PARTS:
            tried = chat._replace(as_parts=as_parts, takes_system=takes_system)
            if not (lost := _lost(tokenizer, tried, question)):
                return tried
            first_lost = first_lost or lost
    raise UserError(f"{name} {first_lost}, also where texts are given as lists of parts.")


def _lost(
    tokenizer: PreTrainedTokenizerBase, chat: ChatFormat, messages: Sequence[Message], needed: Sequence[Message] = ()
) -> str:
    """What a template does to a conversation instead of writing its texts; empty if it writes them.

    Args:
        needed: the turns whose texts have to be there; by default all.
    """
    try:
        written = write_chat(tokenizer, chat, messages, begin_answer=messages[-1]["role"] == "user")
    except Exception as error:
        # A template is a program of somebody's: it may fail in any way.
        return f"refuses a conversation ({in_words(error)})"
    missing = _missing(written, needed or messages)
    if not missing and chat.as_parts and re.search(r"""['"]type['"]: *['"]text['"]""", written):
        return "writes lists of parts as they are"
    return f"loses {missing}" if missing else ""


def in_words(error: Exception) -> str:
    """What a chat template failed with, in one line."""
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return said if len(said) <= 300 else f"{said[:300]}…"


def _missing(written: str, messages: Sequence[Message]) -> str:
    """The names of the texts that are not in what a template has written; empty if all are."""
    return " and ".join(_NAMES[word] for one in messages for word in one["content"].split() if word not in written)


def merged_messages(chat: ChatFormat | None, messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
    """A conversation as a server's template can write it."""
    for one in messages if chat is None or chat.takes_system or not messages else without_system(messages):
        yield dict(one)
