"""What a person most likely meant where YAML cannot be read: one hint for each slip, found in the lines around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import yaml

Lines = Sequence[str]

_KEY = re.compile(r"""(\s*(?:-\s+)*(?:[\w.~/<-][^:#{}\[\]"']*|'[^']*'|"[^"]*"):)(?:\s+(.*?))?\s*$""")
"""A line `key: value`, perhaps a list's item."""

_CLOSED_QUOTES = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(.*)""")


def place_and_hint(error: yaml.MarkedYAMLError, lines: Lines) -> tuple[yaml.Mark | None, str]:
    """Where the slip is, and what to do; no hint if nothing is likely."""
    for slip in _SLIPS:
        if found := slip(error, lines):
            return found
    return error.problem_mark or error.context_mark, ""


Found = tuple["yaml.Mark | None", str] | None


def _line(lines: Lines, number: int) -> str:
    return lines[number] if 0 <= number < len(lines) else ""


def _before(lines: Lines, number: int) -> int | None:
    """The last line before this one that holds more than a comment."""
    return next((one for one in reversed(range(number)) if _line(lines, one).split("#")[0].strip()), None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def mark_at(line: int, column: int) -> yaml.Mark:
    """A place in a file."""
    return yaml.Mark("", 0, line, column, None, 0)


def _value(line: str) -> tuple[int, str] | None:
    """The value behind the key of a line, or behind the dashes of a list's item, with its column."""
    match = _KEY.match(line)
    if match and match[2]:
        return match.start(2), match[2]
    item = re.match(r"\s*(?:-\s+)+(\S.*?)\s*$", line)
    return (item.start(1), item[1]) if item else None


def quoted(text: str) -> str:
    """A text as YAML wants it in quotes."""
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tabs(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return None
    for number in (mark.line, mark.line - 1):
        line = _line(lines, number)
        if "\t" in (white := line[: _indent(line)]):
            return mark_at(number, white.index("\t")), "indent with spaces, not with a tab"
    return None


def _templates(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    mark = error.problem_mark or error.context_mark
    for number in () if mark is None else (mark.line, error.context_mark.line if error.context_mark else mark.line):
        found = _value(_line(lines, number))
        if found and re.match(r"\{[{%#]", found[1]):
            return mark_at(number, found[0]), f"a template needs quotes around it: {quoted(found[1])}"
    return None


def _signs(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    """Values that begin with a sign of YAML."""
    mark = error.problem_mark
    found = None if mark is None else _value(_line(lines, mark.line))
    if mark is None or found is None:
        return None
    column, text = found
    # Inside of brackets and quotes, something else may be wrong.
    if text[0] in "@`%&*!|>,?-" and (error.context_mark is None or error.context_mark.line == mark.line):
        if text[0] in "|>":
            return mark_at(
                mark.line, column
            ), f"text that begins with {text[0]} needs quotes; a block of text begins on the next line"
        return mark_at(mark.line, column), f"text that begins with {text[0]} needs quotes"
    if text[0] in "\"'" and (closed := _CLOSED_QUOTES.match(text)) and closed[2].split("#")[0].strip():
        other = "'" if text[0] == '"' else '"'
        end = column + len(closed[1])
        said = f"the text in quotes ends before column {end + 1}, and more follows"
        return mark_at(mark.line, end), f"{said}; write the quotes inside of it as {other}, or other quotes around it"
    if text[0] in "[{" and text.count("[") == text.count("]") and text.count("{") == text.count("}"):
        end = max(text.rfind("]"), text.rfind("}"))
        if text[end + 1 :].split("#")[0].strip():
            return mark_at(mark.line, column), f"text that begins with {text[0]} needs quotes"
    return None


def _quotes(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    if error.context and "quoted scalar" in error.context and error.problem and error.context_mark is not None:
        if "escape" in error.problem:
            return error.problem_mark, "in double quotes a backslash is a sign of its own; use single quotes, or write \\\\"
        if "end of stream" in error.problem or "document indicator" in error.problem:
            return error.context_mark, "the quote that opens here is never closed"
    return None


def _brackets(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    problem, opening = error.problem or "", error.context_mark
    if "expected ',' or" in problem and opening is not None:
        sign = _line(lines, opening.line)[opening.column : opening.column + 1]
        said = f"the {sign} in line {opening.line + 1}, column {opening.column + 1} is not closed before this"
        return error.problem_mark, f"{said}, or a text inside of it needs quotes"
    mark = error.problem_mark
    if mark is not None and _line(lines, mark.line)[mark.column : mark.column + 1] in ("]", "}"):
        return mark, "this bracket closes nothing; there is one too many"
    return None


def _missing_spaces(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    """`rank:8`, `-item` and `rank 8` among keys and items."""
    if not re.search(r"mapping values|expected ':'", error.problem or "") or error.problem_mark is None:
        return None
    number = error.problem_mark.line
    for one in filter(lambda one: one is not None, (error.context_mark and error.context_mark.line, _before(lines, number))):
        line = _line(lines, one or 0)
        text, column = line.strip(), _indent(line)
        if key := re.match(r"(?:-\s+)*[\w.-]+:(?=[^\s/])", text):
            return mark_at(one or 0, column + key.end() - 1), f"a space is missing behind the colon of '{text[:60]}'"
        if re.match(r"-[^\s-]", text):
            return mark_at(one or 0, column), f"a space is missing behind the dash of '{text[:60]}'"
        if text and ":" not in text and not text.startswith(("-", "#")):
            return mark_at(one or 0, column), f"the colon of 'key: value' is missing in '{text[:60]}'"
    return None


def _colons(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    if "mapping values" not in (error.problem or "") or error.problem_mark is None:
        return None
    number = error.problem_mark.line
    found, above = _value(_line(lines, number)), _before(lines, number)
    if found and re.search(r":(\s|$)", found[1]) and error.problem_mark.column >= found[0]:
        return error.problem_mark, "text with ': ' in it needs quotes"
    if above is not None and _indent(_line(lines, number)) > _indent(_line(lines, above)):
        said = f"the line is indented more than line {above + 1}, which has a value already"
        return mark_at(number, _indent(_line(lines, number))), f"{said}; indent keys of one mapping alike"
    return None


def _indentation(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    problem, mark = error.problem or "", error.problem_mark
    if mark is None:
        return None
    line = _line(lines, mark.line)
    if "document start" in problem:
        first = next((number for number, text in enumerate(lines) if text.split("#")[0].strip()), 0)
        if _indent(_line(lines, first)):
            return mark_at(first, 0), "the first key is indented, and others are not; indent keys of one mapping alike"
        if _line(lines, first).startswith("%"):
            return mark_at(first, 0), "a line that begins with % is an order to YAML; leave it out, or put its text in quotes"
        return mark, "one document ends above; expected one in a file"
    if re.search(r"expected key|expected '-'", problem) and _indent(line) >= mark.column:
        above = _before(lines, mark.line)
        if line.lstrip().startswith("- ") and above is not None and _line(lines, above).lstrip().startswith("- "):
            return mark, "the item is indented as none above it; indent items of one list alike"
        if line.lstrip().startswith("- ") and "expected key" in problem:
            return mark, "a list's item stands among keys; indent it below its key, or leave out the dash"
        if "expected '-'" in problem:
            return mark, "a key stands among a list's items; begin it with a dash, or indent it as its own mapping"
        return mark, "the line is indented as no line above it; indent keys of one mapping alike"
    return None


def _documents(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    if "another document" in (error.problem or ""):
        return error.problem_mark, "--- begins another document; expected one in a file"
    return None


def _unclosed_above(error: yaml.MarkedYAMLError, lines: Lines) -> Found:
    """A quote that was not closed where it should be, and closes at the next one."""
    mark = error.problem_mark
    for number in () if mark is None else reversed(range(max(0, mark.line - 20), mark.line + 1)):
        found = _value(_line(lines, number))
        if found and found[1][0] in "\"'" and not _CLOSED_QUOTES.match(found[1]):
            return mark_at(number, found[0]), "the quote that opens here is not closed in its line"
    return None


_SLIPS: tuple[Callable[[yaml.MarkedYAMLError, Lines], Found], ...] = (
    _tabs,
    _templates,
    _quotes,
    _signs,
    _missing_spaces,
    _brackets,
    _colons,
    _unclosed_above,
    _indentation,
    _documents,
)
