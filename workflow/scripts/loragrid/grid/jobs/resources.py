"""The resources that the jobs of each stage need, as far as the configuration says."""

from __future__ import annotations

from typing import Any

from loragrid.config.root import Config
from loragrid.grid.jobs.lookups import Wildcards, answered_by_server, pretrained


def loaded_model(config: Config, wildcards: Wildcards) -> str | None:
    """The name of the model that a job loads: the model of its scorer or prompting, if any, else the base model."""
    if "scorer" in wildcards.keys():  # noqa: SIM118 - Snakemake's wildcards are a list of values
        return config.scorers[wildcards["scorer"]].model_name
    if "prompting" in wildcards.keys():  # noqa: SIM118
        return config.prompting(wildcards["prompting"]).needed_encoder
    return wildcards["base_model"]


def stated_resource(config: Config, model: str | None, stage: str, resource: str, default: Any) -> Any:
    """The value that a model's entry has for a stage; the default if it says nothing, or if there is no model."""
    stated = getattr(getattr(pretrained(config, model).resources, stage), resource) if model else None
    return default if stated is None else stated


def computes_here(config: Config, model: str | None, stage: str) -> bool:
    """Whether a job of a stage computes with a model itself, instead of asking a server."""
    return model is not None and not (stage == "predict" and answered_by_server(config, model))


def is_light_score(config: Config, wildcards: Wildcards) -> bool:
    """Whether a score job takes only seconds."""
    return config.scorers[wildcards["scorer"]].is_light
