"""How prompts look, for people: before anything is trained or asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from loragrid.data.render import Rendered, Renderer, tell_spelled, text_ids
from loragrid.inference.engine import ModelToAsk
from loragrid.inference.prompts import AskedExample, ModelFiles, asked_examples, model_to_ask
from loragrid.inference.settings import PredictSettings
from loragrid.records import Example
from loragrid.runtime.files import written_whole


def show_prompt(
    settings: PredictSettings, tokenizer: str | None, test: str, train: str | None, demonstrations: str | None, result: str
) -> None:
    """Write how a base model is asked about a data set: the first prompt, and counts over all.

    Args:
        tokenizer: file of the imported model's tokenizer; None if only a server has the model.
        test: file of the test examples.
        train: file of the examples that prompts show.
        demonstrations: file with the ids of the examples that prompts show.
    """
    name = str(settings.axes["base_model"])
    model = model_to_ask(name, settings.model, "none", ModelFiles(model=tokenizer), threads=1, job=result)
    asked = asked_examples(settings, model, test, train, demonstrations)
    with written_whole(result) as temporary:
        Path(temporary).write_text("\n".join(_lines(settings, model, asked)) + "\n", encoding="utf-8")


def _lines(settings: PredictSettings, model: ModelToAsk, asked: Sequence[AskedExample]) -> Iterator[str]:
    axes, renderer = settings.axes, model.renderer
    yield f"Prompts of {axes['task']}/{axes['sample_type']} for {axes['base_model']}"
    yield f"prompting {axes['prompting']}, prompt variant {axes['prompt_variant']}"
    yield ""
    yield from _facts(settings, renderer)
    yield from _counts(renderer, [prompt for one in asked for prompt in one.prompts])
    if asked:
        example, prompt = asked[0].example.parts[0], asked[0].prompts[0]
        yield from ("", f"The first test example, {example.id}, and its reference as the answer to learn:")
        yield from _shown(renderer, prompt, example)


def _facts(settings: PredictSettings, renderer: Renderer | None) -> Iterator[str]:
    model = settings.model
    yield f"format          {model.prompt_format if renderer is None or renderer.chat is None else 'chat'}"
    yield f"system prompt   {'none of the configuration' if model.system_prompt is None else repr(model.system_prompt)}"
    if renderer is None:
        yield "tokens          unknown: the server writes the prompt from these messages"
        return
    yield f"end of turn     {_token(renderer, renderer.end_of_turn)}"
    if (chat := renderer.chat) is not None:
        if "strftime_now" in renderer.tokenizer.get_chat_template():
            yield f"date            {chat.date}"
        yield from (f"argument        {key}: {value!r}" for key, value in chat.arguments.items())
        if not chat.takes_system and model.system_prompt is not None:
            yield "no system turn  the system prompt stands at the beginning of the first question"
        if not chat.begins_answers:
            yield "no beginning    the template cannot begin an answer; the beginning is read off an answer that it has written"
        if chat.opened_thought:
            yield f"open thought    each prompt ends inside a thought, until {chat.opened_thought}"
    yield f"answers         at most {settings.how.max_new_tokens} tokens"


def _counts(renderer: Renderer | None, prompts: Sequence[Rendered]) -> Iterator[str]:
    lengths = [len(prompt.prompt_ids) for prompt in prompts]
    yield f"prompts         {len(prompts)}" + (f" of {min(lengths)} to {max(lengths)} tokens" if renderer and prompts else "")
    if cut := sum(prompt.truncated for prompt in prompts):
        yield f"too long        {cut}: demonstrations or input cut"
    if renderer is not None and (spelled := tell_spelled(renderer, prompts)):
        yield f"control tokens  {spelled} prompts spell some; see the log"


def _shown(renderer: Renderer | None, prompt: Rendered, example: Example) -> Iterator[str]:
    yield from (_title("prompt"), prompt.prompt, _title("answer"), example.references[0])
    if renderer is None:
        return
    yield from (_title("end of turn"), renderer.tokenizer.decode([renderer.end_of_turn]), "")
    answer_ids = [*text_ids(renderer, example.references[0]), renderer.end_of_turn]
    for said, ids in (("prompt", prompt.prompt_ids), ("answer, with the end of turn", answer_ids)):
        yield _title(f"{len(ids)} tokens of the {said}")
        yield from (_token(renderer, id_) for id_ in ids)


def _title(text: str) -> str:
    return f"----- {text} ".ljust(80, "-")


def _token(renderer: Renderer, id_: int) -> str:
    text = renderer.tokenizer.decode([id_])
    # A token may be a part of a character.
    shown = renderer.tokenizer.convert_ids_to_tokens(id_) if "\N{REPLACEMENT CHARACTER}" in text else repr(text)
    return f"{id_:>7}  {shown}"
