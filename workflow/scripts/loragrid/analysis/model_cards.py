"""Model cards: what a trained model is, how it came about and how well it does, for people and for a hub."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from loragrid.analysis.card_marks import experiment_mark
from loragrid.analysis.columns import ASKED, METRIC
from loragrid.analysis.settings import CardSettings, FactsByScorer
from loragrid.analysis.summaries import summarise_by
from loragrid.layout import BASE, DESCRIBE_MODEL
from loragrid.models.usage import USE, Base, usage

if TYPE_CHECKING:
    import pandas as pd

    from loragrid.data.asking import Asking

QUESTIONS = ["task", "sample_type", *ASKED]
"""The data set on which a model was asked, and how."""


def model_card(
    manifest: dict[str, Any],
    settings: CardSettings,
    scores: pd.DataFrame,
    asked: Asking | None = None,
    template_of_tokenizer: str | None = None,
) -> str:
    """The README.md of a trained model: metadata for a hub, then text.

    Args:
        manifest: of its training.
        scores: its own and its base model's, a row per prediction and metric.
        asked: how it is asked; None if that is not known.
        template_of_tokenizer: the chat template of the tokenizer with which it is used.
    """
    run, config, source = manifest["run"], manifest["config"], settings.source.model_dump()
    name = f"{run['base_model']} on {run['task']}/{run['sample_type']}"
    # The data set that it was trained for comes first.
    evaluations = sorted(
        _evaluations(scores, settings.kinds),
        key=lambda row: (row["task"], row["sample_type"]) != (run["task"], run["sample_type"]),
    )
    full = config["method"] == "full"
    origin = _origin(source)
    base = _base(manifest, source)
    lines = [
        "---",
        _metadata(name, config["method"], source.get("hub"), evaluations).to_yaml().strip(),
        "---",
        "",
        f"# {name}",
        "",
        f"{'A fine-tuned copy' if full else 'An adapter'} of `{run['base_model']}` ({origin}), made with loragrid.",
        "",
        "## Data",
        "",
        _data(manifest),
        "",
        "## Scores",
        "",
        *([experiment_mark(settings.experiment), ""] if settings.experiment else []),
        *_score_table(evaluations, f"{run['task']}/{run['sample_type']}"),
        "",
        "## Training",
        "",
        *_training(manifest),
        "",
        USE,
        "",
        *usage("whole" if full else "adapter", asked, manifest["hardware"]["dtype"], base, template_of_tokenizer),
        "",
        _fingerprints(manifest),
    ]
    return "\n".join(lines) + "\n"


def _base(manifest: dict[str, Any], source: dict[str, Any]) -> Base:
    """Where the base model is, as seen from the folder of an adapter."""
    if hub := source.get("hub"):
        return Base(hub, source["revision"])
    folder = PurePosixPath(DESCRIBE_MODEL.path("card", manifest["run"] | {"run": "run"})).parent
    return Base(f"{'../' * len(folder.parts)}{manifest['tokenizer']}", None, _origin(source))


def _origin(source: dict[str, Any]) -> str:
    """Where a model comes from, for a reader."""
    if merged := source.get("merged"):
        return f"{source['base_model']} with {merged} merged into it"
    return str(source.get("hub") or source.get("package") or source["path"])


def _metadata(name: str, method: str, hub: str | None, evaluations: list[dict[str, Any]]) -> ModelCardData:
    """The metadata that a hub reads.

    Args:
        hub: the base model's repository, if it has one.
    """
    return ModelCardData(
        base_model=hub,
        library_name="transformers" if method == "full" else "peft",
        pipeline_tag="text-generation",
        tags=["loragrid", method],
        model_name=name,
        eval_results=[_eval_result(row) for row in evaluations] or None,
    )


def _data(manifest: dict[str, Any]) -> str:
    run, examples = manifest["run"], manifest["examples"]
    return (
        f"{examples['train']} training examples of mix `{run['mix']}` (`nb_samples` {run['nb_samples']}), whose target is task "
        f"`{run['task']}` with sample type `{run['sample_type']}`; {examples['validation']} validation examples. "
        f"Loss on {'the answers' if run['loss_computation'] == 'completion' else 'prompts and answers'}."
    )


def _training(manifest: dict[str, Any]) -> list[str]:
    course = (
        f"{manifest['steps']} optimiser steps, {manifest['tokens']} tokens in {manifest['training_s']:.0f} s on "
        f"{manifest['processes']} × {manifest['hardware']['device']} ({manifest['hardware']['dtype']}); "
        f"{manifest['trainable_parameters']} trained parameters."
    )
    seeds = {f"seed of {key.replace('_', ' ')}": value for key, value in manifest["seeds"].items()}
    settings = manifest["config"] | seeds
    return [course, "", "| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in settings.items())]


def _fingerprints(manifest: dict[str, Any]) -> str:
    fingerprints = [f"{what} `{digest[:16]}`" for what, digest in manifest["fingerprints"].items() if digest]
    versions = [f"{package} {version}" for package, version in manifest["versions"].items()]
    return f"Fingerprints (SHA-256): {', '.join(fingerprints)}. Versions: {', '.join(versions)}."


def _evaluations(scores: pd.DataFrame, facts: FactsByScorer) -> list[dict[str, Any]]:
    """One row per data set, way of asking and metric with a mean: as in the tables, with the base model's mean beside it."""
    summary = summarise_by(scores, [*QUESTIONS, "run"], facts).dropna(subset="mean")
    is_base, keys = summary["run"] == BASE, [*QUESTIONS, *METRIC]
    of_base = summary[is_base].set_index(keys)["mean"].to_dict()
    rows: list[dict[Any, Any]] = summary[~is_base].to_dict("records")
    return [row | {"base": of_base.get(tuple(row[key] for key in keys))} for row in rows]


def _eval_result(row: dict[str, Any]) -> EvalResult:
    metric = f"{row['scorer']}/{row['metric']}"
    dataset = f"{row['task']}/{row['sample_type']}"
    return EvalResult(
        task_type="text-generation",
        dataset_type=dataset,
        dataset_name=f"{dataset} ({row['prompting']}, prompt {row['prompt_variant']}, {row['decoding']})",
        metric_type=metric,
        metric_name=metric,
        metric_value=round(row["mean"], 4),
    )


def _score_table(evaluations: list[dict[str, Any]], target: str) -> list[str]:
    if not evaluations:
        return ["None."]
    lines = ["Means over test examples ± standard error. A data set is a task and the sample type of its references.", ""]
    lines += ["| data set | asked | metric | base model | this model | examples |", "|---|---|---|---|---|---|"]
    for row in evaluations:
        base = "–" if row["base"] is None else f"{row['base']:.3f}"
        lines.append(
            f"| {row['task']}/{row['sample_type']} | {row['prompting']}, {row['prompt_variant']}, {row['decoding']} "
            f"| {row['scorer']}/{row['metric']} | {base} | {row['mean']:.3f} ± {row['standard_error']:.3f} | {row['n']} |"
        )
    if any(f"{row['task']}/{row['sample_type']}" != target for row in evaluations):
        others = "Other tasks show what carries over; other sample types are other references."
        lines += ["", f"It was trained for {target}. {others}"]
    return lines
