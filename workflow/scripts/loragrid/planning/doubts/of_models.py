"""Checks of what was trained on base models, and of what they answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loragrid.layout import BASE
from loragrid.planning.doubts.results import Doubt, OldModel, OldPredictions, doubt, old_predictions, old_tokens, old_trainings
from loragrid.text.thoughts import MARKS, opened_by, tell_apart


def end_tokens(since: int) -> Iterator[Doubt]:
    """Answers whose text ends in a token that ends answers."""
    for old in old_predictions(since):
        model = OldModel.named(old.evaluation.base_model)
        written = model.chat_template + str(_settings_of(old).get("chat_template") or "")
        thoughts = {mark for pair in MARKS for mark in pair}
        ends = tuple(
            content
            for id_, (content, _) in model.added_tokens.items()
            if content.strip() and content not in thoughts and (id_ in model.ends or content in written)
        )
        found = [part["prediction"] for part in old.parts if ends and part["prediction"].endswith(ends)]
        if found:
            yield doubt(old.path, f"{len(found)} answers, such as {found[0][-40:]}")


def thoughts(since: int) -> Iterator[Doubt]:
    """Answers with thoughts in their text, or that are only thoughts."""
    for old in old_predictions(since):
        is_base = old.evaluation.run == BASE and _settings_of(old).get("engine", {}).get("api") != "chat"
        found = [part["prediction"] for part in old.parts if not part["thoughts"] and _has_thoughts(part, is_base)]
        if found:
            yield doubt(old.path, f"{len(found)} answers, such as {found[0]}")


def _has_thoughts(part: Mapping[str, Any], is_base: bool) -> bool:
    opened = opened_by(part["prompt"]) if is_base else None
    return bool(tell_apart(part["prediction"], opened=opened).answer != part["prediction"])


def _settings_of(old: OldPredictions) -> dict[str, Any]:
    """How the base model was asked; nothing for predictions made elsewhere."""
    settings: dict[str, Any] = old.manifest.get("model") or {}
    return settings


def dates_in_prompts(since: int) -> Iterator[Doubt]:
    """Prompts that a chat template has dated with the day on which they were written."""
    told: set[str] = set()
    for training in old_trainings(since):
        if _tells_the_time(training.base_model, training.manifest.get("model") or {}):
            yield doubt(training.path, "the chat template of its base model calls strftime_now")
            told.add(training.base_model)
    for old in old_predictions(since):
        base_model = old.evaluation.base_model
        if _settings_of(old) and _tells_the_time(base_model, _settings_of(old)):
            yield doubt(old.path, "the chat template of its model calls strftime_now")
            told.add(base_model)
    for base_model in sorted(told):
        for tokens in old_tokens(since, base_model):
            yield doubt(tokens, "the chat template of the model calls strftime_now")


def _tells_the_time(base_model: str, settings: Mapping[str, Any]) -> bool:
    template = str(settings.get("chat_template") or OldModel.named(base_model).chat_template)
    return settings.get("prompt_format") in ("chat", "auto") and "strftime_now" in template
