"""The one renderer: an example becomes token ids here, for training and for every inference engine alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loragrid.records import Example

_PROBE = "loragrid"


class Renderer(NamedTuple):
    """A tokenizer and how prompts are written for it."""

    tokenizer: PreTrainedTokenizerBase
    prompt_format: Literal["chat", "plain"]
    system_prompt: str | None
    end_of_turn: int
    """Id of the token that ends an answer."""


class Rendered(NamedTuple):
    """Prompt and answer, tokenised apart."""

    prompt: str
    prompt_ids: list[int]
    answer_ids: list[int]
    """With the end-of-turn token as the last one; empty when there is no answer to learn from."""
    truncated: bool


def make_renderer(
    tokenizer: PreTrainedTokenizerBase, prompt_format: Literal["auto", "chat", "plain"] = "auto", system_prompt: str | None = None
) -> Renderer:
    """Settle the prompt format and find the token that ends an answer in it."""
    if prompt_format == "auto":
        prompt_format = "chat" if tokenizer.chat_template else "plain"
    end_of_turn = tokenizer.eos_token_id
    if prompt_format == "chat":
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _PROBE}]
        text = str(tokenizer.apply_chat_template(messages, tokenize=False))
        after_answer = tokenizer(text.rpartition(_PROBE)[2], add_special_tokens=False).input_ids
        special = set(tokenizer.all_special_ids) | set(getattr(tokenizer, "added_tokens_decoder", {}))
        end_of_turn = next((i for i in after_answer if i in special), end_of_turn)
    return Renderer(tokenizer, prompt_format, system_prompt, end_of_turn)


def prompt_text(renderer: Renderer, instruction: str, input_: str) -> str:
    """The prompt as text, up to where the answer starts."""
    request = f"{instruction}\n\n{input_}" if input_ else instruction
    if renderer.prompt_format == "plain":
        return f"{request}\n\n"
    system = [] if renderer.system_prompt is None else [{"role": "system", "content": renderer.system_prompt}]
    messages = [*system, {"role": "user", "content": request}]
    return str(renderer.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def _prompt_ids(renderer: Renderer, text: str) -> list[int]:
    ids: list[int] = renderer.tokenizer(text, add_special_tokens=False).input_ids
    if renderer.prompt_format == "plain":
        # A chat template writes the beginning-of-sequence token itself; plain text gets it where the tokenizer adds one.
        first = renderer.tokenizer("").input_ids[:1]
        if first and first[0] == renderer.tokenizer.bos_token_id:
            ids = first + ids
    return ids


def render(renderer: Renderer, example: Example, answer: str | None, max_length: int, reserve: int = 0) -> Rendered | None:
    """Turn an example into token ids of at most `max_length - reserve` tokens.

    What is too long has the end of its input cut, never the template around it and never the answer.

    Args:
        answer: the answer to learn; None when the model is to give it.
        reserve: tokens kept free, for an answer to be generated.

    Returns:
        The rendered example, or None if it does not fit even without any input.
    """
    tokenizer = renderer.tokenizer
    answer_ids = [] if answer is None else [*tokenizer(answer, add_special_tokens=False).input_ids, renderer.end_of_turn]
    room = max_length - reserve - len(answer_ids)
    text = prompt_text(renderer, example.instruction, example.input)
    prompt_ids = _prompt_ids(renderer, text)
    if len(prompt_ids) <= room:
        return Rendered(text, prompt_ids, answer_ids, truncated=False)
    input_ids = tokenizer(example.input, add_special_tokens=False).input_ids
    while input_ids and len(prompt_ids) > room:
        del input_ids[-(len(prompt_ids) - room) :]
        text = prompt_text(renderer, example.instruction, tokenizer.decode(input_ids).strip())
        prompt_ids = _prompt_ids(renderer, text)
    return Rendered(text, prompt_ids, answer_ids, truncated=True) if len(prompt_ids) <= room else None
