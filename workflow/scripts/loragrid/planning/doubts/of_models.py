"""Checks of what was trained on base models, and of what they answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from loragrid.layout import BASE
from loragrid.planning.doubts.results import (
    Doubt,
    OldModel,
    OldPredictions,
    doubt,
    models,
    names_of_weights,
    old_predictions,
    old_tokens,
    old_trainings,
)
from loragrid.records import Example, read_records
from loragrid.runtime.looking import looked_into
from loragrid.text.thoughts import MARKS, opened_by, tell_apart
from loragrid.text.words import normalise_space


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


def lost_questions(since: int) -> Iterator[Doubt]:
    """Prompts without the question that they ask, because their chat template leaves it out; and what was trained with it."""
    of_base_models: set[str] = set()
    for old in old_predictions(since):
        test = Path(old.evaluation.asked_file)
        if not _settings_of(old) or not test.exists():
            continue
        tests = looked_into(test, partial(read_records, test, Example)) or []
        asked = {example.id: [part.input for part in example.parts] for example in tests}
        found = sum(
            not _begins(of_question, part["prompt"])
            for one in old.predictions
            for part, of_question in zip(one.parts, asked.get(one.id, []), strict=False)
        )
        if found:
            yield doubt(old.path, f"{found} prompts lack the input of their question")
            of_base_models.add(old.evaluation.base_model)
    for training in old_trainings(since):
        if training.base_model in of_base_models:
            yield doubt(training.path, "prompts of its base model lack the input of their question")


def _begins(text: str, prompt: str) -> bool:
    """Whether a prompt has the beginning of a text: its end may have been cut off."""
    return normalise_space(text)[:30] in normalise_space(prompt)


def _tells_the_time(base_model: str, settings: Mapping[str, Any]) -> bool:
    template = str(settings.get("chat_template") or OldModel.named(base_model).chat_template)
    return settings.get("prompt_format") in ("chat", "auto") and "strftime_now" in template


def made_up_weights(since: int) -> Iterator[Doubt]:
    """Imported models with weights that their source does not have: they were drawn at random. Only a source on disk can tell."""
    for model in models():
        source = Path(str((model.manifest.get("source") or {}).get("path", "")))
        if model.manifest.get("mended", 0) >= since or "package" in model.manifest.get("source", {}) or not source.is_dir():
            continue
        given = names_of_weights(source)
        made_up = sorted(names_of_weights(model.folder) - given)
        if given and made_up:
            yield doubt(model.folder / "model.safetensors", f"{source} has no {', '.join(made_up[:3])} ({len(made_up)} weights)")


def packed_without_need(since: int) -> Iterator[Doubt]:
    """Trainings in which examples in one row may have seen each other, or more of themselves than the model's layers allow."""
    # Imports torch.
    from loragrid.models.packed_attention import COMPARED

    for training in old_trainings(since):
        if (training.manifest.get("config") or {}).get("packing") not in ("auto", "on"):
            continue
        config = OldModel.named(training.base_model).config
        kind, rope = str(config.get("model_type")), json.dumps(config.get("rope_parameters") or config.get("rope_scaling"))
        on_gpu = (training.manifest.get("hardware") or {}).get("device") != "cpu"
        said = []
        if on_gpu and (kind not in COMPARED or kind in ("persimmon", "gpt_bigcode")):
            said.append(f"the model type {kind} was packed on a GPU and never compared")
        if on_gpu and any(f'"{name}"' in rope for name in ("dynamic", "longrope")):
            said.append("its encoding of positions depends on the length of a row")
        if kind == "qwen2_moe" and config.get("use_sliding_window"):
            said.append("its sliding window was not heeded")
        if said:
            yield doubt(training.path, "; ".join(said))
