"""With which settings results were made, as their manifests and the configuration say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.analysis.page.configs import as_text
from loragrid.runtime.manifests import read_json


class UsedSettings(NamedTuple):
    """The settings of one thing that has a name in the configuration."""

    kind: str
    name: str
    settings: Mapping[str, str]
    """By name. Settings that are not set are left out."""


def used_settings(manifests: Iterable[str | Path], scorers: Mapping[str, Mapping[str, Any]]) -> list[UsedSettings]:
    """Trainings, base models, ways of asking and scorers with their settings.

    Where results of one name were made with several values, all of them are named.

    Args:
        manifests: of trainings and predictions. Those of predictions made elsewhere say nothing of settings.
        scorers: their settings, by name, as configured.
    """
    found: dict[tuple[str, str], dict[str, dict[str, None]]] = {}
    for path in manifests:
        for kind, name, settings in _told(read_json(path)):
            own = found.setdefault((kind, name), {})
            for key, text in _flat(settings):
                own.setdefault(key, {})[text] = None
    for name, settings in scorers.items():
        found["Scorer", name] = {key: {text: None} for key, text in _flat(settings)}
    in_order = sorted(found, key=lambda pair: KINDS.index(pair[0]))
    return [UsedSettings(*pair, {key: " or ".join(values) for key, values in found[pair].items()}) for pair in in_order]


KINDS: Sequence[str] = ("Training", "Base model", "Prompting", "Decoding", "Scorer")
"""In the order of showing."""


def _told(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """What a manifest says: kind, name, settings."""
    if "run" in manifest and "config" in manifest:
        yield "Training", str(manifest["run"]["config"]), manifest["config"]
        yield "Base model", str(manifest["run"]["base_model"]), manifest.get("model", {})
    axes = manifest.get("axes", {})
    if "model" in manifest and "base_model" in axes:
        yield "Base model", str(axes["base_model"]), manifest["model"]
    for key in ("prompting", "decoding"):
        if key in axes and isinstance(manifest.get(key), Mapping):
            yield key.capitalize(), str(axes[key]), manifest[key]


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Settings as texts, those inside of others with both names. What is not set is left out."""
    for key, value in settings.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} ")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            for number, one in enumerate(value, 1):
                yield from _flat(one if isinstance(one, Mapping) else {"": one}, f"{name} {number} ")
        elif text := as_text(value):
            yield name, text
