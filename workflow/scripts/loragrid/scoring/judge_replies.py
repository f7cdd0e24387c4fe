"""What a judge is told about the form of its answer, and how its answer is read, whatever form it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from loragrid.scoring.rubrics import Range, Rubric
from loragrid.text.json_values import json_values
from loragrid.text.thoughts import tell_apart

Verdict = Literal["first", "second", "tie"]


Entries = Mapping[str, list[Any]]
"""The values of a JSON object by plain name: several where a name stands there more than once, perhaps spelled otherwise."""


NUMBER = r"(?<![\w.,])[-+]?(?:\d+(?:\.\d+|,\d{1,2})?|\.\d+)(?!\w|[.,]\d)"


SCORE = re.compile(rf"({NUMBER})(?:\s*(?:/|\bout\s+of\b)\s*({NUMBER}))?")
"""A number, perhaps with the best number behind a slash or `out of`."""


UP_TO = re.compile(r"\s?(?:[-–—](?=\d)|\b(?:to|or)\s)(\d+(?:[.,]\d+)?)(?!\w)")
"""The rest of a range, as in "5-6"."""


_COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


WORDS = {word: str(number) for number, word in enumerate(_COUNTED)}
"""Numbers in words."""


# "One of the best" is no score.
IN_WORDS = re.compile(rf"(?i)\b(?:{'|'.join(WORDS)})(?=\s*(?:[^\w\s]|$|\n|(?:out|points?|to|or)\b))")


NEAR = 100
"""Characters behind a score's name in which its number is looked for."""


VERDICTS: dict[str, Verdict] = {
    **dict.fromkeys(("first", "1", "a"), "first"),
    **dict.fromkeys(("second", "2", "b"), "second"),
    **dict.fromkeys(("tie", "draw", "equal", "both", "neither", "none", "c"), "tie"),
}


# Repetitions that end where they must not be tried again are possessive, so that reading takes time in proportion to the length.
CHOICE = r"(?:the\s++)?(?:answer|response|option)?[\s\[(\"'*_]*+(first|second|tie|draw|equal|both|neither|none|1|2|(?-i:A|B|C))\b"


BEHIND = r"(?:\s+(?:answer|response|option|one))?"


ALONE = re.compile(rf"(?i)^\W*+{CHOICE}{BEHIND}\W*$")


AMONG_WORDS = (
    # [[A]]; winner: A; and, at the beginning, "The first answer is better".
    re.compile(r"(?i)\[\[(first|second|tie|1|2|a|b|c)\]\]"),
    re.compile(
        rf"(?i)\b(?:better|best|winner|verdict|preferred|choice)\b\W*?(?:[:=]|"
        rf"\s(?:answer\s+)?is\b:?)[\s\"'*_]*+{CHOICE}{BEHIND}[^\w\n]*$",
        re.MULTILINE,
    ),
    re.compile(rf"(?i)^\W*+{CHOICE}{BEHIND}\W+is\s+(?:(?:clearly|much|slightly|the)\s+)*(?:better|best)\b"),
)


class UnreadableError(Exception):
    """A judge's answer lacks what the judge was asked for; the message says what is missing."""


def form_in_words(rubric: Rubric) -> str:
    """What a judge is told about the form of its answer."""
    if rubric.pairwise:
        options = 'Say {"better": "first"} or {"better": "second"}, or {"better": "tie"} if neither is better.'
        return f"Answer with one JSON object and nothing else. {options}"
    example = ", ".join(f'"{name}": …' for name in rubric.scores)
    lines = [f'- "{name}": {_range_in_words(range_)}' for name, range_ in rubric.scores.items()]
    plural = "each … is a number" if len(lines) > 1 else "… is a number"
    return "\n".join([f"Answer with one JSON object and nothing else: {{{example}}}, where {plural}:", *lines])


def _range_in_words(range_: Range) -> str:
    words = f"from {range_.minimum:g} (worst) to {range_.maximum:g} (best)"
    return f"{words}; {range_.description.rstrip('.')}." if range_.description else f"{words}."


def response_format(rubric: Rubric) -> dict[str, Any]:
    """The field of a request that makes a server enforce the form of the answer."""
    # Ranges are told in words: some servers refuse them in a schema.
    fields: dict[str, Any] = {name: {"type": "number", "description": _range_in_words(r)} for name, r in rubric.scores.items()}
    if rubric.pairwise:
        fields = {"better": {"type": "string", "enum": ["first", "second", "tie"]}}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {"type": "json_schema", "json_schema": {"name": "judgement", "strict": True, "schema": schema}}


def read_scores(text: str, ranges: Mapping[str, Range], cut_off: bool = False) -> dict[str, float]:
    """The numbers in a judge's answer: of the JSON object that has them, else after their names. A single one may stand alone.

    Judges quote the text that they judge, and that text may hold a judgement of itself. An answer that says several things is
    therefore not read at all.

    Args:
        cut_off: whether the answer ended because it was too long; a number at its very end may lack digits.

    Raises:
        UnreadableError: if a number is missing, has several values, or is outside its range.
    """
    answer = without_thoughts(text)
    whole = list(json_objects(answer, lambda entries: all(plain_name(name) in entries for name in ranges)))
    read: dict[str, float] = {}
    for name, range_ in ranges.items():
        values: list[Any] = [value for entries in whole for value in entries[plain_name(name)]]
        values = values or _after_name(answer, name, cut_off)
        if not values and len(ranges) == 1:
            values = _numbers(answer, range_, cut_off)
        if not values:
            raise UnreadableError(f"the judge's answer has no '{name}'")
        numbers = dict.fromkeys(_as_number(name, value, range_) for value in values)
        if len(numbers) > 1:
            raise UnreadableError(
                f"the judge's answer has several '{name}': {', '.join(f'{number:g}' for number in list(numbers)[:5])}"
            )
        [number] = numbers
        if not range_.minimum <= number <= range_.maximum:
            raise UnreadableError(f"the judge's '{name}' is {number:g}, outside {range_.minimum:g} to {range_.maximum:g}")
        read[name] = number
    return read


def read_verdict(text: str) -> Verdict:
    """Which of two answers a judge prefers.

    Raises:
        UnreadableError: if it does not say so, or not clearly.
    """
    answer = without_thoughts(text)
    objects = {
        one for entries in json_objects(answer, lambda entries: bool(_verdicts_of(entries))) for one in _verdicts_of(entries)
    }
    if len(objects) == 1:
        return objects.pop()
    if not objects:
        if match := ALONE.match(answer.upper()):
            return VERDICTS[match[1].casefold()]
        for pattern in AMONG_WORDS:
            verdicts = {VERDICTS[match[1].casefold()] for match in pattern.finditer(answer)}
            if len(verdicts) == 1:
                return verdicts.pop()
    raise UnreadableError("the judge's answer does not say which is better")


def _verdicts_of(entries: Entries) -> set[Verdict]:
    """All verdicts in an object: more than one if it contradicts itself."""
    named = ("better", "best", "winner", "verdict", "preferred", "choice", "answer")
    values = [value for name in named for value in entries.get(name, ()) if isinstance(value, str | int)]
    matches = [ALONE.match(str(value).upper()) for value in values]
    return {VERDICTS[match[1].casefold()] for match in matches if match}


def without_thoughts(text: str) -> str:
    """A judge's answer without its thoughts; every minus sign becomes the plain one."""
    return tell_apart(text).answer.strip().replace("\N{MINUS SIGN}", "-")


def json_objects(text: str, wanted: Callable[[Entries], bool]) -> Iterator[Entries]:
    """The wanted JSON objects of a text, in order. An object inside another wanted object is left out.

    Args:
        wanted: whether an object is wanted.
    """
    return json_values(text, "{", wanted, _entries)


def _entries(pairs: Iterable[tuple[str, Any]]) -> Entries:
    entries: dict[str, list[Any]] = {}
    for name, value in pairs:
        entries.setdefault(plain_name(name), []).append(value)
    return entries


def plain_name(name: str) -> str:
    """A name as judges may spell it in other ways: without case, spaces and the signs that join words."""
    return re.sub(r"[\s_.-]", "", name).casefold()


def contradictions(text: str) -> list[str]:
    """The plain names to which one JSON object in a text gives different values."""
    objects = json_objects(without_thoughts(text), lambda entries: any(len(values) > 1 for values in entries.values()))
    differing = [name for entries in objects for name, values in entries.items() if any(one != values[0] for one in values)]
    return list(dict.fromkeys(differing))


def _after_name(text: str, name: str, cut_off: bool) -> list[str]:
    spelled = r"[\s_.-]*".join(re.escape(part) for part in re.split(r"[_.-]", name))
    pattern = rf"(?i)(?<!\w){spelled}[\"'*_`]*\s*(?:\([^)\n]{{0,99}}\))?[\"'*_`]*\s*(?:[:=]|\bis\b)[\"'*_`\s]*"
    found: list[str] = []
    for match in re.finditer(pattern, text):
        behind = IN_WORDS.sub(lambda word: WORDS[word[0].lower()], text[match.end() : match.end() + NEAR])
        is_end = match.end() + NEAR >= len(text)
        if (first := SCORE.match(behind)) and not (is_end and _may_lack_digits(behind, first, cut_off)):
            last = UP_TO.match(behind, first.end())
            found += [first[0], *([last[1]] if last else [])]
    return found


def _numbers(text: str, range_: Range, cut_off: bool) -> list[str]:
    # "On a scale from 0 to 10" is no score.
    scale = rf"(?<![\w.]){range_.minimum:g}\s*(?:to|and|-|–|—|\.\.\.?|…)\s*{range_.maximum:g}(?!\w)"
    text = re.sub(scale, " ", text)
    return [match[0] for match in SCORE.finditer(text) if not _may_lack_digits(text, match, cut_off)]


def _may_lack_digits(text: str, number: re.Match[str], cut_off: bool) -> bool:
    return cut_off and number.end() == len(text)


def _as_number(name: str, value: Any, range_: Range) -> float:
    if isinstance(value, str):
        value = value.strip()
        match = SCORE.fullmatch(WORDS.get(value.casefold(), value))
        number, scale = (match[1], match[2]) if match else ("", None)
        if scale and _float(scale) != range_.maximum:
            raise UnreadableError(
                f"the judge's '{name}' is {match[0] if match else ''}, not on the scale up to {range_.maximum:g}"
            )
        value = _float(number) if number else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UnreadableError(f"the judge's '{name}' is no number")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _float(number: str) -> float:
    return float(number.replace(",", "."))
