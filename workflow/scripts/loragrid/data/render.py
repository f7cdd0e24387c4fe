"""The only renderer. Examples become token ids here, for training and for every inference engine alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from loragrid.errors import UserError
from loragrid.runtime.templates import fill_template
from loragrid.sections import Section

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loragrid.records import Example

_PROBE = "loragrid"


class ModelSettings(Section):
    """The settings of a base model that decide what it learns: the number type, and how prompts are written for it."""

    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field("auto", description="Number type, as in `models`.")
    prompt_format: str = Field("auto", description="`chat`, `auto`, or the name of a template, as in `models`.")
    system_prompt: str | None = Field(None, description="System message, as in `models`.")
    template: str | None = Field(None, description="Text of the format's template; None for `chat`.")
    chat_template: str | None = Field(
        None,
        exclude_if=lambda template: template is None,
        description="Text of a chat template that replaces the tokenizer's own.",
    )


class Renderer(NamedTuple):
    """A tokenizer and how prompts are written for it."""

    tokenizer: PreTrainedTokenizerBase
    template: str | None
    """Jinja template of a prompt; None: the tokenizer's chat template."""
    system_prompt: str | None
    end_of_turn: int
    """Id of the token that ends an answer."""


class Request(NamedTuple):
    """The question of a prompt, with examples of how it is answered."""

    instruction: str
    input: str
    demonstrations: tuple[Example, ...] = ()


class Rendered(NamedTuple):
    """Prompt and answer, tokenised apart."""

    prompt: str
    prompt_ids: list[int]
    answer_ids: list[int]
    """With the end-of-turn token as the last one; empty when there is no answer to learn from."""
    truncated: bool
    messages: tuple[dict[str, str], ...] = ()
    """The prompt as a conversation, for servers that write it themselves."""


def make_renderer(tokenizer: PreTrainedTokenizerBase, template: str | None = None, system_prompt: str | None = None) -> Renderer:
    """Make a renderer. An answer ends with the first special token behind it in the chat template, else with the end of text."""
    end_of_turn = tokenizer.eos_token_id
    if template is None:
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
        after_answer = tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False).input_ids
        special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
        end_of_turn = next((i for i in after_answer if i in special), end_of_turn)
    return Renderer(tokenizer, template, system_prompt, end_of_turn)


def load_renderer(folder: str | Path, model: ModelSettings) -> Renderer:
    """The renderer of an imported base model with these settings.

    Raises:
        UserError: if the chat format is asked for and the tokenizer has no chat template.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if model.chat_template:
        tokenizer.chat_template = model.chat_template
    has_chat_template = bool(tokenizer.chat_template)
    if model.prompt_format == "chat" and not has_chat_template:
        raise UserError(f"{folder}: prompt_format is 'chat', but the tokenizer has no chat template.")
    is_chat = model.prompt_format == "chat" or (model.prompt_format == "auto" and has_chat_template)
    return make_renderer(tokenizer, None if is_chat else model.template, model.system_prompt)


def end_tokens(renderer: Renderer, folder: str | Path) -> list[int]:
    """The ids that end an answer of an imported base model: the end of turn, and the ids that the model itself lists."""
    return sorted({renderer.end_of_turn} | own_ends(renderer, folder))


def own_ends(renderer: Renderer, folder: str | Path) -> set[int]:
    """The ids at which every engine stops by itself: the tokenizer's end of text, and those that the model's own settings list.

    Nothing else is taken from a model's own generation settings, which may well sample.
    """
    listed: list[Any] = [renderer.tokenizer.eos_token_id]
    for name in ("config.json", "generation_config.json"):
        path = Path(folder) / name
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        # The language model of a model that also reads pictures has settings of its own.
        for part in (settings, settings.get("text_config") or {}):
            found = part.get("eos_token_id")
            listed += found if isinstance(found, list) else [found]
    return {end for end in listed if end is not None and end >= 0}


def prompt_text(renderer: Renderer, request: Request) -> str:
    """The prompt as text, up to where the answer starts."""
    if renderer.template is not None:
        demonstrations = [
            {"instruction": d.instruction, "input": d.input, "output": d.references[0]} for d in request.demonstrations
        ]
        known = {"instruction": request.instruction, "input": request.input, "system_prompt": renderer.system_prompt or ""}
        return fill_template(renderer.template, known | {"demonstrations": demonstrations})
    messages = conversation(renderer.system_prompt, request)
    return str(renderer.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True))


def conversation(system_prompt: str | None, request: Request) -> tuple[dict[str, str], ...]:
    """A request as messages, demonstrations as earlier turns."""
    messages = [] if system_prompt is None else [{"role": "system", "content": system_prompt}]
    for demonstration in request.demonstrations:
        messages.append({"role": "user", "content": _message(demonstration.instruction, demonstration.input)})
        messages.append({"role": "assistant", "content": demonstration.references[0]})
    return (*messages, {"role": "user", "content": _message(request.instruction, request.input)})


def render_conversation(system_prompt: str | None, request: Request) -> Rendered:
    """A request for a model without a tokenizer here: only messages, whose length is unknown."""
    messages = conversation(system_prompt, request)
    return Rendered("\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages), [], [], False, messages)


def _message(instruction: str, input_: str) -> str:
    return f"{instruction}\n\n{input_}" if input_ else instruction


def _prompt_ids(renderer: Renderer, text: str) -> list[int]:
    ids: list[int] = renderer.tokenizer(text, add_special_tokens=False).input_ids
    if renderer.template is not None:
        # A chat template writes the beginning-of-sequence token itself. Other text gets the token if the tokenizer adds one.
        first = renderer.tokenizer("").input_ids[:1]
        if first and first[0] == renderer.tokenizer.bos_token_id and ids[:1] != first:
            ids = first + ids
    return ids


def render(renderer: Renderer, request: Request, answer: str | None, max_length: int, reserve: int = 0) -> Rendered | None:
    """Turn a request into token ids of at most `max_length - reserve` tokens.

    A request that is too long loses its demonstrations, the last one first, and then the end of its input. The template around
    it and the answer stay whole.

    Args:
        answer: the answer to learn; None when the model is to give it.
        reserve: tokens kept free, for an answer to be generated.

    Returns:
        The rendered request, or None if it does not fit even without any input.
    """
    tokenizer = renderer.tokenizer
    answer_ids = [] if answer is None else [*tokenizer(answer, add_special_tokens=False).input_ids, renderer.end_of_turn]
    room = max_length - reserve - len(answer_ids)

    def fit(shorter: Request) -> tuple[str, list[int]]:
        text = prompt_text(renderer, shorter)
        return text, _prompt_ids(renderer, text)

    def rendered(fitting: Request, text: str, prompt_ids: list[int]) -> Rendered:
        own_words = renderer.template is not None
        messages = ({"role": "user", "content": text},) if own_words else conversation(renderer.system_prompt, fitting)
        return Rendered(text, prompt_ids, answer_ids, fitting is not request, messages)

    text, prompt_ids = fit(request)
    if len(prompt_ids) <= room:
        return rendered(request, text, prompt_ids)
    fitting = request
    demonstrations: Sequence[Example] = request.demonstrations
    while demonstrations and len(prompt_ids) > room:
        demonstrations = demonstrations[:-1]
        fitting = request._replace(demonstrations=tuple(demonstrations))
        text, prompt_ids = fit(fitting)
    input_ids = tokenizer(request.input, add_special_tokens=False).input_ids
    while input_ids and len(prompt_ids) > room:
        del input_ids[-(len(prompt_ids) - room) :]
        fitting = Request(request.instruction, tokenizer.decode(input_ids).strip())
        text, prompt_ids = fit(fitting)
    return rendered(fitting, text, prompt_ids) if len(prompt_ids) <= room else None


def zero_shot(example: Example) -> Request:
    """An example's own request."""
    return Request(example.instruction, example.input)


def pad_token(renderer: Renderer) -> int:
    """The id that fills up batches. It is masked by length, so that any id will do."""
    pad = renderer.tokenizer.pad_token_id
    return renderer.end_of_turn if pad is None else pad


def prompt_template(prompt_format: str) -> Path | None:
    """The file of a prompt format; None for `chat`, whose template the tokenizer has. `auto` falls back on plain."""
    if prompt_format == "chat":
        return None
    return Path(f"data/prompts/{'plain' if prompt_format == 'auto' else prompt_format}.jinja")
