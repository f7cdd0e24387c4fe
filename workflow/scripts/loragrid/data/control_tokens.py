"""Control tokens: what a prompt's template writes as tokens, and the texts of data must not.

A tokenizer finds the texts of its added tokens anywhere, also in a row that only speaks about `<|im_end|>`. So a text that spells
a control token is tokenised by a copy of the tokenizer in which control tokens have other texts, which no row has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from loragrid.text.thoughts import MARKS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_PIPED = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
_OF_THOUGHTS = frozenset(mark.casefold() for pair in MARKS for mark in pair)
_BRACKETED = re.compile(r"\[/?[A-Z][A-Z_]+\]|<<?/?[A-Za-z|][\w|]*>>?")
_HIDDEN, _WRITTEN = "\U000f2001{}\U000f2002", "\U000f2003{}\U000f2004"
"""Private characters around an id: what stands for a control token that data spells, and for one that a template writes."""


class ControlTokens(NamedTuple):
    """The control tokens of a tokenizer."""

    ids: Mapping[str, int]
    """By their texts."""
    pattern: re.Pattern[str]
    """Finds their texts."""
    marks: re.Pattern[str]
    """Finds what a template writes in brackets although the tokenizer has no token for it, such as `[INST]`."""

    def spelled_in(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The control tokens that texts spell, each once."""
        return tuple(dict.fromkeys(found for text in texts for found in self.pattern.findall(text)))

    def marks_in(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The marks without a token that texts spell, each once. Nothing can tell them from what the template writes."""
        return tuple(dict.fromkeys(found for text in texts for found in self.marks.findall(text)))

    def hide(self, text: str) -> str:
        """A text with something in place of the control tokens that it spells, which a template takes for plain text."""
        return self.pattern.sub(lambda found: _HIDDEN.format(self.ids[found[0]]), _unmarked(text))

    def show(self, text: str) -> str:
        """The inverse of `hide`, for a text that a template has written around hidden ones."""
        texts = {str(id_): spelled for spelled, id_ in self.ids.items()}
        return re.sub(_HIDDEN.format(r"(\d+)"), lambda found: texts[found[1]], text)


def control_tokens(tokenizer: PreTrainedTokenizerBase, written: str) -> ControlTokens:
    """The control tokens of a tokenizer: special tokens, those that its chat template writes, and those in the form `<|…|>`.

    White space and marks of thoughts are text, also where a tokenizer has tokens for them: models give them in answers.

    Args:
        written: what the chat template writes around texts.
    """
    ends = {tokenizer.eos_token, tokenizer.bos_token}
    added = getattr(tokenizer, "added_tokens_decoder", {})
    ids = {
        token.content: id_
        for id_, token in added.items()
        if not token.content.isspace()
        and token.content.casefold() not in _OF_THOUGHTS
        and (token.special or token.content in written or token.content in ends or _PIPED.fullmatch(token.content))
    }
    pattern, tokens = _any_of(ids), {token.content for token in added.values()}
    marks = {
        mark
        for mark in _BRACKETED.findall(pattern.sub("", written))
        if mark not in tokens and mark.casefold() not in _OF_THOUGHTS
    }
    return ControlTokens(ids, pattern, _any_of(marks))


def _any_of(texts: Collection[str]) -> re.Pattern[str]:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def ids_as_text(tokenizer: PreTrainedTokenizerBase, controls: ControlTokens, text: str) -> list[int] | None:
    """The token ids of a text in which nothing is a control token; None where the tokenizer cannot do that."""
    return _ids(tokenizer, controls, _unmarked(text))


def ids_of_prompt(tokenizer: PreTrainedTokenizerBase, controls: ControlTokens, hidden: str) -> list[int] | None:
    """The token ids of a prompt whose texts are hidden, so that control tokens are only what the template has written."""
    return _ids(tokenizer, controls, prompt_as_tokenised(controls, hidden))


def prompt_as_tokenised(controls: ControlTokens, hidden: str) -> str:
    """A prompt whose texts are hidden, or its beginning, as the copy of the tokenizer gets it."""
    written = controls.pattern.sub(lambda found: _WRITTEN.format(controls.ids[found[0]]), hidden)
    return controls.show(written)


def token_ends(tokenizer: PreTrainedTokenizerBase, controls: ControlTokens, text: str) -> list[int] | None:
    """Where each token of a text for the copy of the tokenizer ends, in characters; None where there is no copy."""
    copy = _without_control_tokens(tokenizer, tuple(controls.ids.items()))
    return None if copy is None else [end for _, end in copy.encode(text, add_special_tokens=False).offsets]


def _ids(tokenizer: PreTrainedTokenizerBase, controls: ControlTokens, text: str) -> list[int] | None:
    copy = _without_control_tokens(tokenizer, tuple(controls.ids.items()))
    return None if copy is None else list(copy.encode(text, add_special_tokens=False).ids)


def _unmarked(text: str) -> str:
    """A text from data without the private characters that have a meaning here."""
    return text.translate(dict.fromkeys(range(0xF2001, 0xF2005)))


def can_read_as_text(tokenizer: PreTrainedTokenizerBase, controls: ControlTokens) -> bool:
    """Whether the tokenizer can read control tokens in data as text. One that is not made of a file cannot."""
    return _without_control_tokens(tokenizer, tuple(controls.ids.items())) is not None


@lru_cache(maxsize=4)
def _without_control_tokens(tokenizer: PreTrainedTokenizerBase, controls: tuple[tuple[str, int], ...]) -> Tokenizer | None:
    """The same tokenizer with other texts for its control tokens, the ids unchanged; None if it is not made of a file."""
    from tokenizers import Tokenizer

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        return None
    new_texts = {text: _WRITTEN.format(id_) for text, id_ in controls}
    try:
        renamed = Tokenizer.from_str(json.dumps(_renamed(json.loads(backend.to_str()), new_texts)))
    except Exception:
        # Parts that are written in Python cannot be copied. The library raises nothing narrower.
        return None
    renamed.no_truncation()
    renamed.no_padding()
    return renamed if all(renamed.token_to_id(new_texts[text]) == id_ for text, id_ in controls) else None


def _renamed(described: dict[str, Any], new_texts: Mapping[str, str]) -> dict[str, Any]:
    """A tokenizer's description with other texts for some tokens."""
    for token in described["added_tokens"]:
        if token["content"] in new_texts:
            token |= {"content": new_texts[token["content"]], "normalized": False}
    model = described["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {new_texts.get(piece, piece): id_ for piece, id_ in vocabulary.items()}
    else:
        model["vocab"] = [[new_texts.get(piece, piece), score] for piece, score in vocabulary]
    if "merges" in model:
        pairs = [(merge, merge if isinstance(merge, list) else merge.split(" ")) for merge in model["merges"]]
        model["merges"] = [merge for merge, pair in pairs if not {*pair, "".join(pair)} & set(new_texts)]
    if model.get("unk_token") in new_texts:
        model["unk_token"] = new_texts[model["unk_token"]]
    # It adds tokens around whole texts only.
    described["post_processor"] = None
    return described
