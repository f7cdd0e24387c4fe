"""The only renderer. Examples become token ids here, for training and for every inference engine alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field

from loragrid.data.chat import FIXED_DATE, ChatFormat, examine, in_words, merged_messages, write_prompt
from loragrid.data.control_tokens import ControlTokens, can_read_as_text, control_tokens, ids_as_text, ids_of_prompt
from loragrid.data.prompt_templates import fill_prompt, has_surplus_end, lost_texts
from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.manifests import read_json
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.sections import LATER, Section

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loragrid.records import Example


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
    chat_template_arguments: Annotated[dict[str, Any], LATER] = Field({}, description="As in `models`.")
    date: Annotated[str, LATER] = Field(FIXED_DATE, description="The date that chat templates are told, as `date`.")


class Renderer(NamedTuple):
    """A tokenizer and how prompts are written for it."""

    tokenizer: PreTrainedTokenizerBase
    template: str | None
    """Jinja template of a prompt; None: the tokenizer's chat template."""
    system_prompt: str | None
    end_of_turn: int
    """Id of the token that ends an answer."""
    controls: ControlTokens
    chat: ChatFormat | None = None
    """How the chat template is used; None for another template."""
    name: str = "the template"
    """How sentences name the template."""


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
    spelled: tuple[str, ...] = ()
    """Control tokens and marks of the template that its texts spell."""


class _Texts(NamedTuple):
    """The texts of a prompt, as its template gets them."""

    system_prompt: str | None
    instruction: str
    input: str
    demonstrations: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, system_prompt: str | None, request: Request) -> Self:
        shown = [{"instruction": d.instruction, "input": d.input, "output": d.references[0]} for d in request.demonstrations]
        return cls(system_prompt, request.instruction, request.input, tuple(shown))

    def all(self) -> Iterable[str]:
        yield from (self.system_prompt or "", self.instruction, self.input)
        for shown in self.demonstrations:
            yield from shown.values()

    def changed(self, change: Callable[[str], str]) -> Self:
        shown = tuple({field: change(text) for field, text in one.items()} for one in self.demonstrations)
        system_prompt = None if self.system_prompt is None else change(self.system_prompt)
        return type(self)(system_prompt, change(self.instruction), change(self.input), shown)


def make_renderer(
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    system_prompt: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    date: str = FIXED_DATE,
    name: str = "the template",
) -> Renderer:
    """Make a renderer. An answer ends with the first special or added token behind it in the chat template, other than white
    space, else with the end of text.

    Args:
        arguments: of the chat template, besides the conversation.
        name: how sentences name the template.

    Raises:
        UserError: if the chat template loses a text.
    """
    if template is not None:
        return Renderer(
            tokenizer, template, system_prompt, tokenizer.eos_token_id, control_tokens(tokenizer, template), name=name
        )
    chat, after_answer = examine(tokenizer, name, arguments or {}, date, system_prompt is not None)
    added: Mapping[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    # Some tokenizers have added tokens for line breaks and spaces, which answers hold too.
    special = set(tokenizer.all_special_ids) | {id_ for id_, token in added.items() if not token.content.isspace()}
    ids = tokenizer(after_answer, add_special_tokens=False).input_ids
    end_of_turn = next((i for i in ids if i in special), tokenizer.eos_token_id)
    return Renderer(tokenizer, None, system_prompt, end_of_turn, control_tokens(tokenizer, chat.written), chat, name)


def load_renderer(folder: str | Path, model: ModelSettings) -> Renderer:
    """The renderer of an imported base model with these settings.

    Raises:
        UserError: if the chat format is asked for and the tokenizer has no chat template, if a template loses a text, or if no
            token ends an answer.
    """
    tokenizer = load_tokenizer(folder)
    if model.chat_template:
        tokenizer.chat_template = model.chat_template
    if model.prompt_format == "chat" and not tokenizer.chat_template:
        raise UserError(f"{folder}: prompt_format is 'chat', but the tokenizer has no chat template.")
    # Models are imported into folders of their names.
    renderer = _as_told(tokenizer, model, f"models.{Path(folder).name}")
    if renderer.end_of_turn is None:
        raise UserError(
            f"{folder}: the tokenizer names no token that ends an answer; set 'eos_token' in its tokenizer_config.json, or give "
            "the model a chat_template that ends an answer with a special token."
        )
    return renderer


def _as_told(tokenizer: PreTrainedTokenizerBase, model: ModelSettings, key: str) -> Renderer:
    if model.prompt_format == "chat" or (model.prompt_format == "auto" and tokenizer.chat_template):
        name = f"{key}.chat_template: the template" if model.chat_template else f"{key}: the tokenizer's chat template"
        arguments, date = model.chat_template_arguments, model.date
        return make_renderer(tokenizer, None, model.system_prompt, arguments=arguments, date=date, name=name)
    if model.chat_template_arguments:
        raise UserError(f"{key}.chat_template_arguments: prompts are not written with a chat template.")
    name = f"{key}.prompt_format: the template"
    if model.template and has_surplus_end(model.template):
        said = "prompts with demonstrations leave it out, prompts without keep it, in training and prediction"
        log.warning("%s ends with white space that its demonstrations lack before their answers: %s", name, said)
    return make_renderer(tokenizer, model.template, model.system_prompt, name=name)


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
        settings = read_json(path) if path.exists() else {}
        # The language model of a model that also reads pictures has settings of its own.
        for part in (settings, settings.get("text_config") or {}):
            found = part.get("eos_token_id")
            listed += found if isinstance(found, list) else [found]
    return {end for end in listed if end is not None and end >= 0}


def prompt_text(renderer: Renderer, request: Request) -> str:
    """The prompt as text, up to where the answer starts.

    Raises:
        UserError: if the template does not show a part of the request.
    """
    return _write(renderer, _Texts.of(renderer.system_prompt, request))


def _write(renderer: Renderer, texts: _Texts) -> str:
    if renderer.chat is not None:
        if texts.demonstrations and renderer.chat.lost_turns:
            raise UserError(f"{renderer.name} {renderer.chat.lost_turns}; demonstrations are such earlier turns.")
        try:
            return write_prompt(renderer.tokenizer, renderer.chat, _messages(texts))
        # A template is a program of somebody's: it may fail in any way.
        except Exception as error:
            raise UserError(f"{renderer.name} fails: {in_words(error)}.") from None
    assert renderer.template is not None
    if lost := lost_texts(renderer.template, bool(texts.system_prompt), bool(texts.input), bool(texts.demonstrations)):
        raise UserError(f"{renderer.name} does not show {lost}.")
    try:
        return fill_prompt(renderer.template, texts.instruction, texts.input, texts.system_prompt, texts.demonstrations)
    except UserError as error:
        raise UserError(f"{renderer.name} fails: {error}") from None


def conversation(system_prompt: str | None, request: Request) -> tuple[dict[str, str], ...]:
    """A request as messages, demonstrations as earlier turns."""
    return _messages(_Texts.of(system_prompt, request))


def _messages(texts: _Texts) -> tuple[dict[str, str], ...]:
    messages = [] if texts.system_prompt is None else [{"role": "system", "content": texts.system_prompt}]
    for one in texts.demonstrations:
        messages.append({"role": "user", "content": _message(one["instruction"], one["input"])})
        messages.append({"role": "assistant", "content": one["output"]})
    return (*messages, {"role": "user", "content": _message(texts.instruction, texts.input)})


def render_conversation(system_prompt: str | None, request: Request) -> Rendered:
    """A request for a model without a tokenizer here: only messages, whose length is unknown."""
    messages = conversation(system_prompt, request)
    return Rendered("\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages), [], [], False, messages)


def _message(instruction: str, input_: str) -> str:
    return f"{instruction}\n\n{input_}" if input_ else instruction


class _Prompt(NamedTuple):
    text: str
    ids: list[int]
    spelled: tuple[str, ...]
    """Control tokens and marks of the template that its texts spell."""


def _prompt(renderer: Renderer, request: Request) -> _Prompt:
    """A prompt in which only the template writes control tokens."""
    tokenizer, controls = renderer.tokenizer, renderer.controls
    texts = _Texts.of(renderer.system_prompt, request)
    spelled, marks = controls.spelled_in(texts.all()), controls.marks_in(texts.all())
    if spelled:
        hidden = _write(renderer, texts.changed(controls.hide))
        ids = ids_of_prompt(tokenizer, controls, hidden)
        if ids is not None:
            return _Prompt(controls.show(hidden), _with_beginning(renderer, ids), spelled + marks)
    text = _write(renderer, texts)
    ids = _with_beginning(renderer, list(tokenizer(text, add_special_tokens=False).input_ids))
    return _Prompt(text, ids, spelled + marks)


def _with_beginning(renderer: Renderer, ids: list[int]) -> list[int]:
    if renderer.template is not None:
        # A chat template writes the beginning-of-sequence token itself. Other text gets the token if the tokenizer adds one.
        first = renderer.tokenizer("").input_ids[:1]
        if first and first[0] == renderer.tokenizer.bos_token_id and ids[:1] != first:
            ids = first + ids
    return ids


def text_ids(renderer: Renderer, text: str) -> list[int]:
    """The token ids of a text from data. Control tokens that it spells are text, if the tokenizer can read them as such."""
    as_text = ids_as_text(renderer.tokenizer, renderer.controls, text) if renderer.controls.spelled_in([text]) else None
    return list(renderer.tokenizer(text, add_special_tokens=False).input_ids) if as_text is None else as_text


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
    answer_ids = [] if answer is None else [*text_ids(renderer, answer), renderer.end_of_turn]
    room = max_length - reserve - len(answer_ids)

    def rendered(fitting: Request, prompt: _Prompt) -> Rendered:
        own_words = renderer.template is not None
        asked = [{"role": "user", "content": prompt.text}] if own_words else conversation(renderer.system_prompt, fitting)
        controls, answers = renderer.controls, [] if answer is None else [answer]
        spelled = dict.fromkeys((*prompt.spelled, *controls.spelled_in(answers), *controls.marks_in(answers)))
        messages = tuple(merged_messages(renderer.chat, asked))
        return Rendered(prompt.text, prompt.ids, answer_ids, fitting is not request, messages, tuple(spelled))

    prompt = _prompt(renderer, request)
    if len(prompt.ids) <= room:
        return rendered(request, prompt)
    fitting = request
    demonstrations: Sequence[Example] = request.demonstrations
    while demonstrations and len(prompt.ids) > room:
        demonstrations = demonstrations[:-1]
        fitting = request._replace(demonstrations=tuple(demonstrations))
        prompt = _prompt(renderer, fitting)
    input_ids = text_ids(renderer, request.input)
    while input_ids and len(prompt.ids) > room:
        del input_ids[-(len(prompt.ids) - room) :]
        fitting = Request(request.instruction, renderer.tokenizer.decode(input_ids).strip())
        prompt = _prompt(renderer, fitting)
    return rendered(fitting, prompt) if len(prompt.ids) <= room else None


def tell_spelled(renderer: Renderer, prompts: Sequence[Rendered]) -> int:
    """Say in the log in how many prompts or answers texts spell control tokens. Returns their number."""
    spelled = [[token for token in prompt.spelled if token in renderer.controls.ids] for prompt in prompts]
    marks = [[mark for mark in prompt.spelled if mark not in renderer.controls.ids] for prompt in prompts]
    if any(spelled):
        can = can_read_as_text(renderer.tokenizer, renderer.controls)
        as_what = "the tokenizer reads them as text" if can else "this tokenizer cannot but read them as such"
        _tell_counted(spelled, f"control tokens; {as_what}")
    _tell_counted(marks, "marks of the template for which the tokenizer has no token: the model cannot tell them apart")
    return sum(map(bool, spelled))


def _tell_counted(found: Sequence[Sequence[str]], said: str) -> None:
    counts = Counter(token for one in found for token in one)
    if counts:
        which = ", ".join(token for token, _ in counts.most_common(5))
        log.warning("%d prompts or answers spell %s (%s)", sum(map(bool, found)), said, which)


def zero_shot(example: Example) -> Request:
    """An example's own request."""
    return Request(example.instruction, example.input)


def pad_token(renderer: Renderer) -> int:
    """The id that fills up batches. It is masked by length, so that any id will do."""
    pad = renderer.tokenizer.pad_token_id
    return renderer.end_of_turn if pad is None else pad
