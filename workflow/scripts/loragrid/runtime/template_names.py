"""How a template names fields that are no names of Jinja, such as a column `Review Text`: hints for messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches

EXPRESSIONS = re.compile(r"(?:{{-?|{%-?\s*(?:if|elif|for\b[^%]*?\bin)\b)(.*?)-?[%}]}", re.DOTALL)
"""What a template fills in, asks for, or goes through."""

WORDS = re.compile(r"\b(?:and|or|not|in|is|if|else)\b")
SIGNS = re.compile(r"[=<>!~|{}\[\]'\"]")
PART = re.compile(r"[=<>!~|{}\[\]()'\",]|\b(?:and|or|not|in|is|if|else)\b")


def by_row(name: str) -> str:
    """How a template names a field, whatever its name is."""
    return f"row[{json.dumps(name, ensure_ascii=False)}]"


def syntax_hint(template: str) -> str:
    """How to write a name with spaces or signs that makes the syntax of a template wrong."""
    for expression in EXPRESSIONS.findall(template):
        whole = expression.partition("|")[0].strip()
        parts = [whole] if not WORDS.search(whole) and not SIGNS.search(whole) else map(str.strip, PART.split(expression))
        if odd := next((part for part in parts if _is_odd_name(part)), None):
            return f"; the name of a field with spaces or signs is written {by_row(odd.removeprefix('row.'))}"
    return f"; the name of a field with spaces or signs is written {by_row('the name')}"


def _is_odd_name(text: str) -> bool:
    """Whether a text could be the name of a column, and is none of Jinja."""
    return bool(re.search(r"[^\W\d]", text)) and not text.isidentifier() and not re.fullmatch(r"[\w.]*\w", text)


def undefined_hint(message: str | None, names: Iterable[str]) -> str:
    """The end of a sentence: how to write the field that was meant where Jinja says that a name is undefined.

    Args:
        names: of the fields of the row.
    """
    names = list(names)
    undefined = re.match(r"'(.+)' is undefined", message or "")
    word = undefined[1] if undefined else ""
    odd = [name for name in names if not name.isidentifier()]
    meant = [name for name in odd if word and word in re.split(r"\W+", name)]
    if not meant and (alike := get_close_matches(word, names, n=1)):
        return f"; did you mean {alike[0] if alike[0].isidentifier() else by_row(alike[0])}?"
    return f"; a name with spaces or signs is written {by_row((meant or odd)[0])}." if odd else "."
