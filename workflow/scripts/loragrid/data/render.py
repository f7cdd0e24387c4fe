"""The only renderer. Examples become token ids here, for training and for every inference engine alike."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field

from loragrid.data.chat import FIXED_DATE, ChatFormat, examine, in_words, merged_messages, write_prompt
from loragrid.data.control_tokens import (
    ControlTokens,
    can_read_as_text,
    control_tokens,
    ids_as_text,
    ids_of_prompt,
    prompt_as_tokenised,
    token_ends,
)
from loragrid.data.prompt_templates import fill_prompt, has_surplus_end, lost_texts
from loragrid.data.turns import as_messages, fit, merge_turns, without_earliest
from loragrid.errors import UserError
from loragrid.runtime.job import log
from loragrid.runtime.manifests import read_json
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.sections import LATER, Section

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loragrid.data.chat import Message, Tools
    from loragrid.records import Example, Turn


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
    turns: tuple[Turn, ...] = ()
    """Of a conversation, up to where the answer starts: they are what is asked, not instruction and input."""
    tools: Tools = ()
    """That may be called in it."""


class Rendered(NamedTuple):
    """Prompt and answer, tokenised apart."""

    prompt: str
    prompt_ids: list[int]
    answer_ids: list[int]
    """With the end-of-turn token as the last one; empty when there is no answer to learn from."""
    truncated: bool
    messages: tuple[dict[str, Any], ...] = ()
    """The prompt as a conversation, for servers that write it themselves."""
    spelled: tuple[str, ...] = ()
    """Control tokens and marks of the template that its texts spell."""
    tools: Tools = ()
    """That the model may call."""
    changes: tuple[str, ...] = ()
    """What was done to the turns of a conversation, so that the template takes them."""
    turns: tuple[Turn, ...] = ()
    """Of a conversation, those that it asks with."""


class _Texts(NamedTuple):
    """The texts of a prompt, as its template gets them."""

    system_prompt: str | None
    instruction: str
    input: str
    demonstrations: tuple[Mapping[str, str], ...]
    messages: tuple[Message, ...] = ()
    """Of a conversation, which stands in the place of all these."""
    tools: Tools = ()

    @classmethod
    def of(cls, system_prompt: str | None, request: Request) -> Self:
        if request.turns:
            return cls(None, "", "", (), tuple(as_messages(system_prompt, request.turns)), request.tools)
        shown = [{"instruction": d.instruction, "input": d.input, "output": d.references[0]} for d in request.demonstrations]
        return cls(system_prompt, request.instruction, request.input, tuple(shown))

    def all(self) -> Iterable[str]:
        yield from (self.system_prompt or "", self.instruction, self.input)
        for shown in self.demonstrations:
            yield from shown.values()
        yield from _strings((self.messages, self.tools))

    def changed(self, change: Callable[[str], str]) -> Self:
        shown = tuple({field: change(text) for field, text in one.items()} for one in self.demonstrations)
        system_prompt = None if self.system_prompt is None else change(self.system_prompt)
        messages, tools = _changed((self.messages, self.tools), change)
        return type(self)(system_prompt, change(self.instruction), change(self.input), shown, messages, tools)


def _strings(value: Any) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from (*_strings(key), *_strings(inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """A value with all its texts changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {change(key): _changed(inner, change) for key, inner in value.items()}
    return type(value)(_changed(inner, change) for inner in value) if isinstance(value, list | tuple) else value


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
    return _write(renderer, _fitting_texts(renderer, request)[0])


def _fitting_texts(renderer: Renderer, request: Request) -> tuple[_Texts, tuple[str, ...]]:
    """The texts of a request as the template takes them, and what was done to the turns of a conversation for it."""
    texts = _Texts.of(renderer.system_prompt, request)
    if not texts.messages:
        return texts, ()
    if renderer.chat is None:
        return _paired(texts, renderer.name), ()
    messages, changes = fit(renderer.tokenizer, renderer.chat, texts.messages, texts.tools, renderer.name)
    return texts._replace(messages=tuple(messages)), changes


def _paired(texts: _Texts, name: str) -> _Texts:
    """A conversation for a template that knows no turns: earlier questions and their answers are demonstrations."""
    system = texts.messages[0]["content"] if texts.messages[0]["role"] == "system" else None
    turns = merge_turns(texts.messages[0 if system is None else 1 :])
    roles = [turn["role"] for turn in turns]
    takes = roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] and not any("tool_calls" in turn for turn in turns)
    if texts.tools or not takes:
        said = "knows only questions and answers in turn; a chat template can do with others"
        raise UserError(f"{name} {said}, such as {', '.join(roles)}{' with tools' if texts.tools else ''}.")
    pairs = zip(turns[:-1:2], turns[1::2], strict=True)
    shown = [{"instruction": asked["content"], "input": "", "output": answer["content"]} for asked, answer in pairs]
    return _Texts(system, turns[-1]["content"], "", tuple(shown))


def _write(renderer: Renderer, texts: _Texts) -> str:
    if renderer.chat is not None:
        if texts.demonstrations and renderer.chat.lost_turns:
            raise UserError(f"{renderer.name} {renderer.chat.lost_turns}; demonstrations are such earlier turns.")
        try:
            return write_prompt(renderer.tokenizer, renderer.chat, _messages(texts), texts.tools)
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


def conversation(system_prompt: str | None, request: Request) -> tuple[Message, ...]:
    """A request as messages, demonstrations as earlier turns."""
    return _messages(_Texts.of(system_prompt, request))


def _messages(texts: _Texts) -> tuple[Message, ...]:
    if texts.messages:
        return texts.messages
    messages = [] if texts.system_prompt is None else [{"role": "system", "content": texts.system_prompt}]
    for one in texts.demonstrations:
        messages.append({"role": "user", "content": _message(one["instruction"], one["input"])})
        messages.append({"role": "assistant", "content": one["output"]})
    return (*messages, {"role": "user", "content": _message(texts.instruction, texts.input)})


def render_conversation(system_prompt: str | None, request: Request) -> Rendered:
    """A request for a model without a tokenizer here: only messages, whose length is unknown."""
    messages = tuple(dict(message) for message in conversation(system_prompt, request))
    shown = [f"[{message['role']}]\n{_with_calls(message)}" for message in messages]
    told = [f"[tools]\n{json.dumps(request.tools, ensure_ascii=False)}"] if request.tools else []
    return Rendered("\n\n".join([*told, *shown]), [], [], False, messages, tools=request.tools)


def _with_calls(message: Message) -> str:
    """The text of a message, with the tools that it calls."""
    calls = [json.dumps(call["function"], ensure_ascii=False) for call in message.get("tool_calls", ())]
    return "\n".join([*([message["content"]] if message["content"] or not calls else []), *calls])


def _message(instruction: str, input_: str) -> str:
    return f"{instruction}\n\n{input_}" if input_ else instruction


class _Prompt(NamedTuple):
    text: str
    ids: list[int]
    spelled: tuple[str, ...]
    """Control tokens and marks of the template that its texts spell."""
    messages: tuple[Message, ...] = ()
    """Of a conversation, as the template takes them."""
    changes: tuple[str, ...] = ()


def _prompt(renderer: Renderer, request: Request) -> _Prompt:
    """A prompt in which only the template writes control tokens."""
    tokenizer, controls = renderer.tokenizer, renderer.controls
    texts, changes = _fitting_texts(renderer, request)
    spelled, marks = controls.spelled_in(texts.all()), controls.marks_in(texts.all())
    if spelled:
        hidden = _write(renderer, texts.changed(controls.hide))
        ids = ids_of_prompt(tokenizer, controls, hidden)
        if ids is not None:
            return _Prompt(controls.show(hidden), _with_beginning(renderer, ids), spelled + marks, texts.messages, changes)
    text = _write(renderer, texts)
    ids = _with_beginning(renderer, list(tokenizer(text, add_special_tokens=False).input_ids))
    return _Prompt(text, ids, spelled + marks, texts.messages, changes)


class WrittenTurns(NamedTuple):
    """The turns of a conversation as a prompt is written of them."""

    messages: tuple[Message, ...]
    tools: Tools
    are_hidden: bool
    """Whether something stands in the place of the control tokens that they spell."""


def written_turns(renderer: Renderer, request: Request) -> WrittenTurns:
    """The turns of a conversation, as they are where its prompt is written."""
    texts, _ = _fitting_texts(renderer, request)
    if renderer.controls.spelled_in(texts.all()) and can_read_as_text(renderer.tokenizer, renderer.controls):
        hidden = texts.changed(renderer.controls.hide)
        return WrittenTurns(hidden.messages, hidden.tools, True)
    return WrittenTurns(texts.messages, texts.tools, False)


class Places(NamedTuple):
    """Where the tokens of a prompt stand in its text."""

    ends: list[int]
    """Where each token ends, in characters."""
    measure: Callable[[str], int]
    """The characters of a beginning of the prompt."""

    def behind(self, beginning: str) -> int:
        """The place of the first token that goes beyond a beginning of the prompt."""
        return bisect_right(self.ends, self.measure(beginning))


def places_in(renderer: Renderer, turns: WrittenTurns, written: str) -> Places:
    """Where the tokens of a prompt stand that a chat template has written of turns.

    Raises:
        UserError: if the tokenizer does not tell it.
    """
    tokenizer, controls = renderer.tokenizer, renderer.controls
    if turns.are_hidden:
        ends = token_ends(tokenizer, controls, prompt_as_tokenised(controls, written))
        assert ends is not None
        return Places(ends, lambda text: len(prompt_as_tokenised(controls, text)))
    if not tokenizer.is_fast:
        raise UserError("the tokenizer does not tell which characters its tokens stand for.")
    found = tokenizer(written, add_special_tokens=False, return_offsets_mapping=True)
    return Places([end for _, end in found.offset_mapping], len)


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

    A request that is too long loses its demonstrations, the last one first, and then the end of its input. A conversation loses
    its earliest questions with all that belongs to them, but not its system message, and then the end of its last turn, if that
    is the user's. The template around it and the answer stay whole.

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
        asked: Sequence[Message] = prompt.messages or conversation(renderer.system_prompt, fitting)
        asked = [{"role": "user", "content": prompt.text}] if own_words else asked
        controls, answers = renderer.controls, [] if answer is None else [answer]
        spelled = dict.fromkeys((*prompt.spelled, *controls.spelled_in(answers), *controls.marks_in(answers)))
        messages = tuple(merged_messages(renderer.chat, asked))
        is_cut, tools = fitting is not request, request.tools
        told = (tuple(spelled), tools, prompt.changes, fitting.turns)
        return Rendered(prompt.text, prompt.ids, answer_ids, is_cut, messages, *told)

    prompt = _prompt(renderer, request)
    if len(prompt.ids) <= room:
        return rendered(request, prompt)
    fitting = request
    demonstrations: Sequence[Example] = request.demonstrations
    while demonstrations and len(prompt.ids) > room:
        demonstrations = demonstrations[:-1]
        fitting = request._replace(demonstrations=tuple(demonstrations))
        prompt = _prompt(renderer, fitting)
    while (later := without_earliest(fitting.turns)) and len(prompt.ids) > room:
        fitting = fitting._replace(turns=later)
        prompt = _prompt(renderer, fitting)
    input_ids = text_ids(renderer, _asked_last(fitting)) if len(prompt.ids) > room else []
    while input_ids and len(prompt.ids) > room:
        del input_ids[-(len(prompt.ids) - room) :]
        fitting = _with_last(fitting, renderer.tokenizer.decode(input_ids).strip())
        prompt = _prompt(renderer, fitting)
    return rendered(fitting, prompt) if len(prompt.ids) <= room else None


def _asked_last(request: Request) -> str:
    """The text of a request whose end may be cut."""
    if request.turns:
        return request.turns[-1].content if request.turns[-1].role == "user" else ""
    return request.input


def _with_last(request: Request, text: str) -> Request:
    """A request with another text in the place of the one that `_asked_last` gives."""
    if request.turns:
        return request._replace(turns=(*request.turns[:-1], request.turns[-1].model_copy(update={"content": text})))
    return Request(request.instruction, text)


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


def tell_changes(prompts: Sequence[Rendered]) -> None:
    """Say in the log in how many prompts turns of a conversation do not stand as in the data."""
    for change, count in Counter(change for prompt in prompts for change in prompt.changes).items():
        log.warning("%d of %d conversations: %s, as the template takes them", count, len(prompts), change)


def zero_shot(example: Example) -> Request:
    """An example's own request."""
    return Request(example.instruction, example.input, (), tuple(example.messages), tuple(example.tools))


def pad_token(renderer: Renderer) -> int:
    """The id that fills up batches. It is masked by length, so that any id will do."""
    pad = renderer.tokenizer.pad_token_id
    return renderer.end_of_turn if pad is None else pad
