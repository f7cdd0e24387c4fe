"""From the tokens of an answer to its text: what ends an answer is no part of it, and what marks thoughts stays in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from loragrid.inference.protocol import Decoding
from loragrid.text.thoughts import Marks
from loragrid.text.words import trim

if TYPE_CHECKING:
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerBase


def text_reader(tokenizer: PreTrainedTokenizerBase, ends: Collection[int], marks: Marks) -> Callable[[Sequence[int]], str]:
    """The function that gives the text of an answer's tokens.

    The tokens that end the answer are left out, whether the tokenizer counts them as special or not. Other special tokens are
    left out too, unless they mark thoughts.
    """
    kept = special_marks(tokenizer, marks)

    def text_of(ids: Sequence[int]) -> str:
        length = len(ids)
        while length and ids[length - 1] in ends:
            length -= 1
        return "".join(
            "".join(kept[token] for token in run) if is_mark else str(tokenizer.decode(list(run), skip_special_tokens=True))
            for is_mark, run in groupby(ids[:length], key=kept.__contains__)
        )

    return text_of


def special_marks(tokenizer: PreTrainedTokenizerBase, marks: Marks) -> dict[int, str]:
    """The special tokens that are marks of thoughts, or parts of such marks, with their texts."""
    texts = [mark for pair in marks for mark in pair]
    special = {id_: token.content for id_, token in added_tokens(tokenizer).items() if token.special}
    return {id_: content for id_, content in special.items() if any(content in text for text in texts)}


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> Mapping[int, AddedToken]:
    """The tokens that a tokenizer has beside its vocabulary of words, if it tells."""
    found: Mapping[int, AddedToken] = getattr(tokenizer, "added_tokens_decoder", {})
    return found


def end_texts(tokenizer: PreTrainedTokenizerBase, ends: Collection[int]) -> list[str]:
    """How the tokens that end an answer look in a text. Ordinary words are left out: they may stand in a text as words."""
    added = added_tokens(tokenizer)
    return [added[end].content for end in ends if end in added]


def cut_before(text: str, stops: Sequence[str], least: int = 0) -> tuple[str, bool]:
    """A text up to the first of the texts that stop it, and whether there is one.

    Args:
        least: characters at the beginning that are not searched.
    """
    places = [place for stop in stops if (place := text.find(stop, least)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def stopped_text(text_of: Callable[[Sequence[int]], str], ids: Sequence[int], decoding: Decoding) -> tuple[str, bool]:
    """The text of an answer's tokens up to the first text that stops it, and whether there is one."""
    # The tokens of a minimum length are not searched for an end.
    least = len(text_of(ids[: decoding.min_new_tokens])) if decoding.stop else 0
    text, is_stopped = cut_before(text_of(ids), decoding.stop, least)
    return trim(text), is_stopped
