"""What a log says about its evaluation as a whole: model, task, settings, versions, means, tokens.

The form is that of `EvalLog` in inspect_ai 0.3.285, file format 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from loragrid.analysis.inspect_log.settings import LogSettings
from loragrid.layout import BASE, Evaluation
from loragrid.records import Prediction, content_hash

FORMAT = 2
"""Version of the file format."""

GENERATION = {"max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed"}
"""The settings of a decoding that Inspect has too, by the names that it gives them."""

AXES = ("trained_task", "trained_sample_type", "mix", "nb_samples", "config", "loss_computation", "seed")
"""What a run was trained on, and how."""


def model_name(evaluation: Evaluation) -> str:
    """The name that a log gives a model: its base model and its run, or only the base model."""
    return evaluation.base_model if evaluation.run == BASE else f"{evaluation.base_model}/{evaluation.run}"


def make_header(
    settings: LogSettings,
    evaluation: Evaluation,
    predictions: Sequence[Prediction],
    manifest: Mapping[str, Any],
    summary: pd.DataFrame,
    samples: Iterable[Mapping[str, Any]],
) -> dict[str, Any]:
    """The header of a log.

    Args:
        predictions: all of the evaluation, at least one.
        manifest: that of the predictions; empty where there is none.
        summary: a row for each of its metrics, as in the table `scores`.
        samples: the samples of the log.
    """
    decoding = manifest.get("decoding") or {}
    generation = {name: decoding[own] for name, own in GENERATION.items() if decoding.get(own)} | _temperature(decoding)
    spec = _make_spec(settings, evaluation, predictions, manifest, generation)
    spec["scorers"] = [{"name": name} for name in summary["scorer"].unique()]
    results = {"total_samples": len(predictions), "completed_samples": len(predictions), "scores": means(summary)}
    scorer, _, metric = settings.metric.partition("/")
    if ((summary["scorer"] == scorer) & (summary["metric"] == metric)).any():
        spec["headline_metric"] = results["headline"] = {"scorer": scorer, "score": metric, "metric": "mean"}
    return {
        "version": FORMAT,
        "status": "success",
        "eval": spec,
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": generation},
        "results": results,
        "stats": {"started_at": spec["created"], "completed_at": spec["created"], "model_usage": _total(samples)},
    }


def _make_spec(
    settings: LogSettings,
    evaluation: Evaluation,
    predictions: Sequence[Prediction],
    manifest: Mapping[str, Any],
    generation: Mapping[str, Any],
) -> dict[str, Any]:
    """What was asked of which model, and how."""
    first = predictions[0]
    ids = list(dict.fromkeys(prediction.id for prediction in predictions))
    spec: dict[str, Any] = {
        "eval_id": content_hash("eval", evaluation.place, str(manifest.get("sources")), str(manifest.get("sha256"))),
        "run_id": content_hash("run", evaluation.base_model, evaluation.run),
        "created": f"{settings.date}T00:00:00+00:00",
        "task": f"{evaluation.task}_{evaluation.sample_type}",
        "task_id": content_hash("task", evaluation.place),
        "task_display_name": evaluation.dataset.name,
        "task_args": {name: getattr(first, name) for name in ("prompting", "prompt_variant", "decoding", "split")},
        "solver": "generate",
        "dataset": {
            "name": evaluation.dataset.name,
            "location": evaluation.asked_file,
            "samples": len(ids),
            "sample_ids": ids,
            "shuffled": False,
        },
        "model": model_name(evaluation),
        "model_generate_config": generation,
        "model_args": {"engine": first.engine, "engine_version": first.engine_version},
        "config": {"epochs": 1 + max(prediction.sample for prediction in predictions), "epochs_reducer": ["mean"]},
        "packages": {**manifest.get("versions", {})},
        "metadata": {axis: value for axis in AXES if (value := getattr(first, axis)) is not None},
    }
    if commit := manifest.get("git_commit"):
        spec["revision"] = {"type": "git", "origin": "", "commit": commit}
    return spec


def _temperature(decoding: Mapping[str, Any]) -> dict[str, float]:
    """A temperature of 0 says something, unlike other settings that are 0."""
    return {"temperature": decoding["temperature"]} if "temperature" in decoding else {}


def means(summary: pd.DataFrame) -> list[dict[str, Any]]:
    """The mean of each metric with its standard error, as far as there are such.

    Args:
        summary: as in `make_header`.
    """
    scores = []
    for row in summary.to_dict("records"):
        values = {"mean": row["mean"], "stderr": row["standard_error"]}
        scores.append(
            {
                "name": row["metric"],
                "scorer": row["scorer"],
                "metrics": {
                    name: {"name": name, "value": float(value)} for name, value in values.items() if math.isfinite(value)
                },
                "metadata": {"examples": int(row["n"]), "failed": int(row["nb_failed"])},
            }
        )
    return scores


def _total(samples: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The tokens of all samples by model."""
    total: dict[str, dict[str, int]] = {}
    for sample in samples:
        for model, used in sample.get("model_usage", {}).items():
            sums = total.setdefault(model, dict.fromkeys(used, 0))
            for name, number in used.items():
                sums[name] += number
    return total
