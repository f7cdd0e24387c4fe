"""Which tokens of a prompt are earlier answers of the assistant, for a training that learns all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from loragrid.data.chat import in_words, marked_answers, marks_answers, write_chat, write_prompt
from loragrid.data.render import Places, Renderer, Request, WrittenTurns, places_in, written_turns
from loragrid.errors import UserError

Spans = list[tuple[int, int]]
"""For each answer: the place of its first token, and the place behind its end of turn."""

_NEEDED = "a chat template that writes earlier answers as the model gives them, or marks them with {% generation %}"


class _Answer(NamedTuple):
    """An earlier answer in the text of a prompt."""

    before: str
    """The prompt up to where the answer starts."""
    whole: str
    """The prompt up to where it ends."""


def earlier_answers(renderer: Renderer, request: Request, prompt_ids: Sequence[int]) -> Spans:
    """Where the earlier answers of a conversation stand in its prompt.

    A template that marks them by `{% generation %}` says it. Else an answer begins where the prompt of the turns before it ends,
    and ends with the conversation up to it. The tokenizer tells the tokens of these places in the text. A token that holds both
    the end of a question and the beginning of an answer counts to the answer.

    Args:
        prompt_ids: token ids of the prompt of the request.

    Raises:
        UserError: if the template writes an earlier answer in another way than it lets the model begin it, or does not end it.
    """
    if all(turn.role != "assistant" for turn in request.turns):
        return []
    if renderer.chat is None:
        raise UserError(f"loss_turns: {renderer.name} has no turns; 'all' needs {_NEEDED}.")
    turns = written_turns(renderer, request)
    try:
        prompt = write_prompt(renderer.tokenizer, renderer.chat, turns.messages, turns.tools)
        marks = marks_answers(renderer.tokenizer)
        answers = list(_marked(renderer, turns) if marks else _between(renderer, turns, prompt))
    except UserError:
        raise
    except Exception as error:
        # A template is a program of somebody's: it may fail in any way.
        raise UserError(f"{renderer.name} fails: {in_words(error)}.") from None
    places = places_in(renderer, turns, prompt)
    assert len(places.ends) == len(prompt_ids)
    assert all(prompt.startswith(answer.whole) for answer in answers)
    return [_span(renderer, places, answer, prompt_ids) for answer in answers]


def _marked(renderer: Renderer, turns: WrittenTurns) -> Iterator[_Answer]:
    """The answers that a template marks."""
    assert renderer.chat is not None
    written, spans = marked_answers(renderer.tokenizer, renderer.chat, turns.messages, turns.tools)
    return (_Answer(written[:start], written[:end]) for start, end in spans if start < end)


def _between(renderer: Renderer, turns: WrittenTurns, prompt: str) -> Iterator[_Answer]:
    """The answers between the prompts of the turns before them and the conversations that end with them."""
    assert renderer.chat is not None
    tokenizer, chat = renderer.tokenizer, renderer.chat
    for place, message in enumerate(turns.messages):
        if message["role"] != "assistant" or all(before["role"] == "system" for before in turns.messages[:place]):
            continue
        before = write_prompt(tokenizer, chat, turns.messages[:place], turns.tools)
        whole = write_chat(tokenizer, chat, turns.messages[: place + 1], tools=turns.tools)
        # A template may end a whole conversation with more than a turn.
        alike = takewhile(lambda both: both[0] == both[1], zip(whole, prompt, strict=False))
        whole = whole[: sum(1 for _ in alike)]
        if len(whole) <= len(before) or not whole.startswith(before):
            said = "writes earlier answers in another way than it lets the model begin them"
            raise UserError(f"loss_turns: {renderer.name} {said}; 'all' needs {_NEEDED}.")
        yield _Answer(before, whole)


def _span(renderer: Renderer, places: Places, answer: _Answer, prompt_ids: Sequence[int]) -> tuple[int, int]:
    start, end = places.behind(answer.before), places.behind(answer.whole)
    # A mark may stand before the end of turn, or behind the line break that follows it.
    ends = [place for place in range(start, min(end + 1, len(prompt_ids))) if prompt_ids[place] == renderer.end_of_turn]
    inside = [place for place in ends if place < end] or ends
    if not inside:
        raise UserError(f"loss_turns: {renderer.name} does not end earlier answers with the end of turn; 'all' needs {_NEEDED}.")
    return start, inside[-1] + 1
