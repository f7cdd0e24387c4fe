"""Checks of data sets, and of what was made from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from loragrid.data.values import plain
from loragrid.planning.doubts.results import Doubt, OldModel, data_sets, doubt, models, old_predictions, old_tokens
from loragrid.records import Example

_MISREAD = re.compile(r"(?s)None|nan|NaT|<NA>|<built-in method .*>|\{'.*\}|b(['\"]).*\1|\[(?:['\"].*['\"])?\]")


_LONG_NUMBER = re.compile(r"-?\d\.\d+e-\d+|-?\d+\.\d+")


def is_misread(text: str) -> bool:
    """Whether a text is one that Python writes for another value, or a number with all digits of single precision."""
    if _MISREAD.fullmatch(text):
        return True
    if not _LONG_NUMBER.fullmatch(text) or (number := float(text)).is_integer():
        return False
    return text == str(number) != str(plain(number))


def misread_values(since: int) -> Iterator[Doubt]:
    """Nulls, bytes and lists that were written as Python writes them, and 3.8 that was written as 3.799999952316284."""
    for split in data_sets():
        found = [text for example in split.examples for text in texts_of(example) if is_misread(text)]
        if found and split.mended < since:
            yield doubt(split.path, f"{len(found)} texts, such as {found[0]}")
    for old in old_predictions(since):
        found = [part["prediction"] for part in old.parts if is_misread(part["prediction"])]
        if found and old.predictions[0].engine == "external":
            yield doubt(old.path, f"{len(found)} answers, such as {found[0]}")


def texts_of(example: Example) -> list[str]:
    """The texts of an example that come from its row."""
    outputs = [example.output] if isinstance(example.output, str) else example.output
    return [example.instruction, example.input, *example.prompts, *outputs, *example.metadata.values()]


def control_tokens(since: int) -> Iterator[Doubt]:
    """Prompts and answers that were tokenised with control tokens of the model, because texts of the data spell these."""
    splits = list(data_sets())
    for model in models():
        spelled = {
            split.path: ", ".join(found)
            for split in splits
            if (found := spelled_controls(model, [text for example in split.examples for text in texts_of(example)]))
        }
        if not spelled:
            continue
        for tokens in old_tokens(since, model.folder.name):
            for path, texts in spelled.items():
                if path.parts[-3:-1] == (tokens.parts[-2], tokens.stem):
                    yield doubt(tokens, f"{path.as_posix()} spells {texts}")
        for old in old_predictions(since):
            tests = old.evaluation.asked_file
            if old.evaluation.base_model == model.folder.name and Path(tests) in spelled and old.manifest.get("model"):
                yield doubt(old.path, f"{tests} spells {spelled[Path(tests)]}")


def spelled_controls(model: OldModel, texts: list[str]) -> list[str]:
    """The control tokens of a model that texts spell: those that are special, or that its chat template writes."""
    template = model.chat_template
    controls = [content for content, is_special in model.added_tokens.values() if is_special or content in template]
    return [content for content in controls if content.strip() and any(content in text for text in texts)]
