"""What a model thought before its answer, told apart from the answer by marks in the text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from loragrid.text.words import trim

Marks = Sequence[tuple[str, str]]
"""Pairs of texts: one opens a thought, the other closes it."""


CHANNELS = ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>")


MARKS: Marks = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    CHANNELS,
)
"""The marks in common use: DeepSeek, Qwen and many others; Mistral; Seed; Kimi; OpenThinker; Cohere; Gemma; gpt-oss."""


QUOTES = ('""', "''", "``", "“”", "‘’", "„“", "«»", "()", "**", "__")


class Spoken(NamedTuple):
    """A model's text in two parts."""

    thoughts: str
    """Empty if there are none."""
    answer: str


def tell_apart(text: str, marks: Marks = MARKS, opened: str | None = None) -> Spoken:
    """What a text thinks and what it answers. A text without marks is an answer, and stays as it is.

    The answer follows the last thought. If nothing follows, or if that thought does not end, it is what stands before the first
    thought; usually that is nothing. All text before a closing mark that nothing has opened is a thought: the prompt may have
    opened it. A mark in quotes, in code or as a word of a sentence is only mentioned, and so is a whole thought in quotes.

    Args:
        marks: upper and lower case are the same.
        opened: the closing mark of a thought that the prompt has opened; see `opened_by`.
    """
    marks = [(opening, closing) for opening, closing in marks]
    closing_of = {opening.casefold(): closing.casefold() for opening, closing in marks}
    parts: list[str] = []
    starts_with_answer, start = False, 0
    expected = opened.casefold() if opened else None
    found = _marks_in(text := _with_channels(text, marks), marks)
    fences = list(_FENCE.finditer(text)) if found else []
    for mark in found:
        name = mark[0].casefold()
        if expected is None and _is_mentioned(text, mark, start, fences, name in closing_of):
            continue
        if expected is None and name in closing_of:
            starts_with_answer = starts_with_answer or not parts
            expected = closing_of[name]
        elif expected is None:
            starts_with_answer = False
        elif name == expected:
            expected = None
        else:
            continue
        parts.append(text[start : mark.start()])
        start = mark.end()
    if not parts and expected is None:
        return Spoken("", text)
    parts.append(text[start:])
    places = ([len(parts) - 1] if expected is None else []) + ([0] if starts_with_answer else [])
    place = next((i for i in places if parts[i].strip()), None)
    answer = "" if place is None else trim(_AROUND_ANSWERS.sub("", parts[place]))
    thoughts = [_without_header(part).strip() for i, part in enumerate(parts) if i != place]
    # An answer may be empty only because of the marks. They tell why.
    return Spoken("\n\n".join(filter(None, thoughts)) or ("" if answer else text.strip()), answer)


def spoken_in(message: Mapping[str, Any]) -> Spoken:
    """The thoughts that a server has told apart from the content of its message, and the content.

    Servers name their field differently; some give the content as a list of parts.

    Raises:
        ValueError: if the content is no text.
    """
    thoughts = next(
        (field for name in ("reasoning_content", "reasoning", "thinking") if isinstance(field := message.get(name), str)), ""
    )
    content = message.get("content") or ""
    if isinstance(content, list):
        thoughts += "".join(_texts(part.get("thinking")) for part in content)
        content = "".join(_texts(part.get("text")) for part in content)
    if not isinstance(content, str):
        raise ValueError("the reply's content is no text")
    return Spoken(thoughts, content)


def _texts(part: Any) -> str:
    """The text of a part of a message, which may have parts itself."""
    return part if isinstance(part, str) else "".join(_texts(inner.get("text")) for inner in part or ())


def opened_by(prompt: str, marks: Marks = MARKS) -> str | None:
    """The closing mark of the thought that the end of a prompt opens; None if it opens none."""
    end = prompt.rstrip().casefold()
    return next((closing for opening, closing in marks if end.endswith(opening.casefold())), None)


def _marks_in(text: str, marks: Marks) -> list[re.Match[str]]:
    wanted = sorted({mark for pair in marks for mark in pair}, key=len, reverse=True)
    found = re.finditer("|".join(map(re.escape, wanted)), text, re.IGNORECASE) if wanted else ()
    marked = [mark for mark in found if not _is_quoted(text, mark.start(), mark.end())]
    closing_of = {opening.casefold(): closing.casefold() for opening, closing in marks}
    quoted: set[re.Match[str]] = set()
    for first, second in pairwise(marked):
        if closing_of.get(first[0].casefold()) == second[0].casefold() and _is_quoted(text, first.start(), second.end()):
            quoted |= {first, second}
    return [mark for mark in marked if mark not in quoted]


def _is_quoted(text: str, start: int, end: int) -> bool:
    return text[max(0, start - 1) : start] + text[end : end + 1] in QUOTES


_FENCE = re.compile(r"(?m)^[ \t]*(```+|~~~+)([^\n`]*)$")
"""The beginning or end of a block of code, as Markdown has it."""


_NEAR = 1000
"""Characters of a line around a mark in which code is looked for."""


def _is_mentioned(text: str, mark: re.Match[str], start: int, fences: Sequence[re.Match[str]], opens: bool) -> bool:
    """Whether a mark that is no part of a thought is only spoken of: in code, or as a word of a sentence.

    Args:
        start: where the text behind the last thought begins.
        fences: those of the whole text.
        opens: whether the mark opens a thought.
    """
    block = _block_around(mark.start(), start, fences)
    # A thought that the prompt has opened may leave a block of code open.
    if block is not None and (opens or _opens_in(text[block : mark.start()], mark[0])):
        return True
    first = max(start, mark.start() - _NEAR, text.rfind("\n", 0, mark.start()) + 1)
    in_line = re.compile(r"`[^`\n]+`").finditer(text, first, mark.end() + _NEAR)
    if any(code.start() < mark.start() < code.end() for code in in_line):
        return True
    behind = text[mark.end() : mark.end() + 100].partition("\n")[0]
    goes_on = re.match(r"[,;]\s|\s[^\W\d_A-Z]" if opens else r"[,;]\s\w+\s\w|\s[^\W\d_A-Z]\w*\s\w", behind)
    return goes_on is not None and re.search(r"[^\W\d_],? \Z", text[max(0, mark.start() - 3) : mark.start()]) is not None


def _block_around(place: int, start: int, fences: Sequence[re.Match[str]]) -> int | None:
    """Where the block of code around a place begins, if there is one that begins at `start` or later and ends."""
    opening: re.Match[str] | None = None
    for fence in fences:
        if fence.start() < start or (opening is None and fence.start() > place):
            continue
        if opening is None:
            opening = fence
        elif fence[1] == opening[1] and not fence[2].strip():
            if fence.start() > place:
                return opening.start()
            opening = None
    return None


def _opens_in(code: str, closing: str) -> bool:
    """Whether code holds the opening mark of this closing mark too."""
    return any(other.casefold() == closing.casefold() and opening.casefold() in code.casefold() for opening, other in MARKS)


_AROUND_ANSWERS = re.compile(
    r"\A\s*(?:<\|begin_of_solution\|>|<\|START_(?:RESPONSE|TEXT)\|>)\n?|"
    r"\s*(?:(?:<\|end_of_solution\|>|<\|END_(?:RESPONSE|TEXT)\|>|<\|(?:end|return)\|>)\s*)+\Z"
)
"""Marks that go with those of thoughts: they begin and end the answer."""


def _with_channels(text: str, marks: Marks) -> str:
    """Text in which the marks of channels stand, also where a server has left out their special tokens."""
    if CHANNELS not in marks:
        return text
    return re.sub(r"(?s)\A\s*analysis(.*?)assistantfinal", lambda found: found[1].join(CHANNELS), text)


def _without_header(thought: str) -> str:
    """A thought without the beginning of the message behind it, which is a part of the mark of a channel."""
    return re.sub(r"(?:<\|end\|>)?(?:<\|start\|>)?assistant\s*\Z|<\|end\|>\s*\Z", "", thought)
