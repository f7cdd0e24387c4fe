r"""The marks by which a text says which of its parts is its answer: `#### 18`, `\boxed{18}`, "The answer is 18"."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_BOX = 1000
"""Characters of a box in which its end is looked for."""


_LINE = re.compile(r"[#＃]{4}[ \t]*([^\n#＃][^\n]*)")


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*")


_ANSWER = r"answers?|antwort|lösung|ergebnis|réponse|respuesta|risposta|resposta|ответ|الجواب|الإجابة|उत्तर"


_UNSPACED_ANSWER = "答案|答え|정답"


_IS = r"is|are|was|be|equals|lautet|ist|est|es|é|è"


ANSWER_IS = (
    rf"(?i:(?:(?<![\p{{L}}_])(?:{_ANSWER})(?![\p{{L}}_])|{_UNSPACED_ANSWER})[ \t]*[*_]{{0,3}}[ \t]*"
    rf"(?:(?:(?:would|should|must)[ \t]+)?(?:{_IS})(?!\p{{L}})|[:=：]|[是为為は]|\n)"
    r"[ \t]*(?:(?:therefore|thus|then|about|approximately|exactly|simply|just|equal[ \t]to)(?!\p{L}))?[:=：]?)"
)
"""What stands before an answer that is called so, in the syntax of the package `regex`."""


def marked_lines(text: str) -> Iterator[str]:
    """What stands behind each `####`, up to the end of the line."""
    return (match[1] for match in _LINE.finditer(text))


def last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` that is not empty; braces may be nested."""
    for match in reversed(list(_BOX.finditer(text))):
        content = _group(text[match.end() : match.end() + LONGEST_BOX]).strip()
        if content:
            return content
    return None


def _group(text: str) -> str:
    """What stands between the brace that a text begins with and its counterpart; without a brace, the first word."""
    if not text.startswith("{"):
        return re.split(r"[\s$]", text, maxsplit=1)[0]
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "{" and text[i - 1 : i] != "\\") - (character == "}" and text[i - 1 : i] != "\\")
        if depth == 0:
            return text[1:i]
    # The end is missing, as where an answer was cut off.
    return text[1:].partition("\n")[0]


def without_commands(text: str) -> str:
    """LaTeX without its commands: their arguments stay."""
    return re.sub(r"\\(?:[A-Za-z]{1,30}\*?|[()\[\],;:! ])|[${}]", " ", text)
