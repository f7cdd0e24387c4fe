"""Labels and verdicts in texts."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from loragrid.text.marks import ANSWER_IS, last_boxed, marked_lines, without_commands
from loragrid.text.negations import PREFIXES, REACH, goes_on, is_denied, is_negated
from loragrid.text.words import UNSPACED, WORD_CHARACTER, compiled, fold

Labels = Mapping[str, Sequence[str]] | Sequence[str]


AROUND = string.punctuation + string.whitespace + "“”‘’„«»。、！？…"
"""What may stand around a label that is the whole answer."""


_JOINT = r"(?<=\w)[\s_\-‐‑]{1,3}(?=\w)"
"""What joins the words of a label. One sign is as good as the other."""


_ARTICLE = re.compile(r"(?<!\S)a(?=\s+(?!(?:and|as|because|but|due|if|is|not|or|since|so)\b)[^\W\d_]{2})")
"""The article, which is no label `A`."""


_CALLED = rf"{ANSWER_IS}[\s\p{{P}}$]{{0,9}}(?:(?:the|an?|option|choice|label|class|category|letter)\s){{0,2}}[\s\p{{P}}$]{{0,5}}"


_BOLD = re.compile(r"(\*\*|__)(?=\S)([^*_\n]{1,80})(?<=\S)\1")


def label_reader(labels: Labels, read: Literal["first", "whole"]) -> Callable[[str], str | None]:
    r"""A function that gives the label of a text, or None where it has none.

    With `whole` the text must be a label or synonym. White space and punctuation around it are ignored, and so is `\boxed{}`.

    With `first`, a label counts that is marked as the answer: behind `####`, in the last `\boxed{}`, behind words such as "The
    answer is", or else the only one in bold type. Without a mark, the label or synonym counts that comes first as a whole word;
    if several begin at one place, the longest. A negated one, as in "not positive" or "B is wrong", stands for its opposite if
    that is a label, and for nothing otherwise.

    Args:
        labels: a list, or the synonyms of each label. Case is ignored. Words may be joined by space, `_` or `-`.
    """
    label_of = mentions_of(labels)
    opposites = _opposites(label_of)
    label_of = {"non" + mention[4:]: label for mention, label in label_of.items() if mention.startswith("non ")} | label_of
    spelled = "|".join(_as_whole_word(mention) for mention in sorted(label_of, key=len, reverse=True))
    pattern, called = compiled(spelled), compiled(f"{_CALLED}(?P<label>{spelled})")

    def whole(text: str) -> str | None:
        text = _plain(text)
        bare = text.strip(AROUND)
        is_negative = bare[:1].isdecimal() and text.partition(bare)[0].endswith("-")
        return label_of.get(text) or label_of.get("-" + bare if is_negative else bare)

    def bare(text: str) -> str | None:
        """The label of a text that is a label, or a letter with the text of its option, as in "B) Paris"."""
        match = pattern.match(inner := _plain(text).lstrip(AROUND))
        is_letter = match is not None and len(match[0]) == 1 and re.match(r"[).:]\s", inner[1:]) is not None
        return label_of[_plain(match[0])] if match and is_letter else whole(text)

    def plain_first(text: str) -> str | None:
        text, end, negated = _folded(_ARTICLE.sub("", text)), 0, False
        for match in pattern.finditer(text):
            negated = is_negated(text[: match.start()]) or (negated and goes_on(text[end : match.start()]))
            label, end = label_of[_plain(match[0])], match.end()
            negated = negated or is_denied(text[end:])
            if not negated or label in opposites:
                return opposites[label] if negated else label
        return None

    def first(text: str) -> str | None:
        for line in marked_lines(text):
            if label := bare(last_boxed(line) or line):
                return label
        if (boxed := last_boxed(text)) is not None and (label := plain_first(without_commands(boxed))):
            return label
        if match := called.search(_folded(_ARTICLE.sub("", text), "\n")):
            return label_of[_plain(match["label"])]
        bold = (match[2] for match in _BOLD.finditer(text) if not is_denied(fold(text[match.end() :][:REACH])))
        in_bold = {label for words in bold if (label := bare(words))}
        return in_bold.pop() if len(in_bold) == 1 else plain_first(text)

    def whole_or_boxed(text: str) -> str | None:
        is_box = re.fullmatch(r"[\W_]*\\(?:boxed|fbox)\s*\{.*\}[\W_]*", text, re.DOTALL)
        return whole(without_commands(last_boxed(text) or "") if is_box else text)

    return whole_or_boxed if read == "whole" else first


def mentions_of(labels: Labels) -> dict[str, str]:
    """Labels and synonyms as they are compared with texts, with the label that each stands for.

    Raises:
        ValueError: where one is empty or stands for two labels.
    """
    given = labels if isinstance(labels, Mapping) else dict.fromkeys(labels, ())
    label_of: dict[str, str] = {}
    for name, synonyms in given.items():
        for text in (name, *synonyms):
            mention = _plain(text)
            if not mention:
                raise ValueError(f"'{text}' of the label '{name}' is empty")
            if label_of.setdefault(mention, name) != name:
                raise ValueError(f"'{text}' stands for two labels, '{label_of[mention]}' and '{name}'")
    return label_of


def _opposites(label_of: Mapping[str, str]) -> dict[str, str]:
    """For labels whose negation is a label too, that other label."""
    negated = ((label, label_of.get(prefix + mention)) for mention, label in label_of.items() for prefix in PREFIXES)
    return {label: other for label, other in negated if other is not None and other != label}


def _folded(text: str, breaks: str = " ") -> str:
    """Text as mentions are looked for in it.

    Args:
        breaks: what stands for a line break.
    """
    return breaks.join(" ".join(line.split()) for line in _with_hyphens(text).splitlines())


def _plain(text: str) -> str:
    return re.sub(_JOINT, " ", " ".join(_with_hyphens(text).split()))


def _with_hyphens(text: str) -> str:
    """A folded text in which a minus is a hyphen."""
    return fold(text).replace("\N{MINUS SIGN}", "-")


def _as_whole_word(mention: str) -> str:
    """A pattern for a mention as a whole word. Hyphens and apostrophes between letters, and points in numbers, end no word; "-1"
    is another number than "1".
    """
    before = rf"(?<!{WORD_CHARACTER}[-‐'’_]?)" + (r"(?<!\d[.,])(?<!(?:^|[\s(*])-)" if mention[0].isdecimal() else "")
    after = rf"(?![-‐'’_]?{WORD_CHARACTER})" + (r"(?![.,]\d)" if mention[-1].isdecimal() else "")
    unspaced = compiled(UNSPACED)
    spelled = r"[\s_\-‐‑]{1,3}".join(map(re.escape, mention.split(" ")))
    return ("" if unspaced.match(mention[0]) else before) + spelled + ("" if unspaced.match(mention[-1]) else after)


def verdict(text: str, cut: bool) -> Literal["true", "false", "tie"]:
    """Which of `true` and `false` occurs more often in the lower-cased text, also within words."""
    text = (text.partition(".")[0] if cut else text).lower()
    true, false = text.count("true"), text.count("false")
    return "tie" if true == false else "true" if true > false else "false"
