"""Model cards: what a trained model is, how it came about and how well it does, for people and for a hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from loragrid.analysis.tables import ASKED, METRIC, Kinds, summarise_by
from loragrid.layout import BASE

if TYPE_CHECKING:
    import pandas as pd

_ASKED = ["task", "sample_type", *ASKED]


def model_card(manifest: dict[str, Any], source: dict[str, Any], scores: pd.DataFrame, kinds: Kinds) -> str:
    """The README.md of a trained model: metadata for a hub, then text.

    Args:
        manifest: of its training.
        source: where its base model comes from, as configured.
        scores: its own and its base model's, a row per prediction and metric.
        kinds: of the scorers, by name.
    """
    run, config = manifest["run"], manifest["config"]
    name = f"{run['base_model']} on {run['task']}/{run['sample_type']}"
    # What it was trained for comes first.
    evaluations = sorted(
        _evaluations(scores, kinds), key=lambda row: (row["task"], row["sample_type"]) != (run["task"], run["sample_type"])
    )
    full = config["method"] == "full"
    metadata = ModelCardData(
        base_model=source.get("hub"),
        library_name="transformers" if full else "peft",
        pipeline_tag="text-generation",
        tags=["loragrid", config["method"]],
        model_name=name,
        eval_results=[_eval_result(row) for row in evaluations] or None,
    )
    origin = source.get("hub") or source.get("package") or source["path"]
    data = (
        f"{manifest['examples']['train']} training examples of mix `{run['mix']}` (`nb_samples` {run['nb_samples']}), whose target is task "
        f"`{run['task']}` with sample type `{run['sample_type']}`; {manifest['examples']['validation']} validation examples. "
        f"Loss on {'the answers' if run['loss_computation'] == 'completion' else 'prompts and answers'}."
    )
    course = (
        f"{manifest['steps']} optimiser steps, {manifest['tokens']} tokens in {manifest['training_s']:.0f} s on "
        f"{manifest['processes']} × {manifest['hardware']['device']} ({manifest['hardware']['dtype']}); "
        f"{manifest['trainable_parameters']} trained parameters."
    )
    settings = {**config, **{f"seed of {key.replace('_', ' ')}": value for key, value in manifest["seeds"].items()}}
    lines = [
        "---",
        metadata.to_yaml().strip(),
        "---",
        "",
        f"# {name}",
        "",
        f"{'A fine-tuned copy' if full else 'An adapter'} of `{run['base_model']}` ({origin}), made with loragrid.",
        "",
        "## Data",
        "",
        data,
        "",
        "## Scores",
        "",
        *_score_table(evaluations, f"{run['task']}/{run['sample_type']}"),
        "",
        "## Training",
        "",
        course,
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in settings.items()),
        "",
        "## Use",
        "",
        *_usage(source.get("hub") or manifest["tokenizer"], full),
        "",
        "Fingerprints (SHA-256): "
        + ", ".join(f"{what} `{digest[:16]}`" for what, digest in manifest["fingerprints"].items() if digest)
        + ". Versions: "
        + ", ".join(f"{package} {version}" for package, version in manifest["versions"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


def _evaluations(scores: pd.DataFrame, kinds: Kinds) -> list[dict[str, Any]]:
    """One row per data set, way of asking and metric that has a mean: as in the tables, with the base model's mean beside it."""
    summary = summarise_by(scores, [*_ASKED, "run"], kinds).dropna(subset="mean")
    is_base, keys = summary["run"] == BASE, [*_ASKED, *METRIC]
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
    lines = ["Means over test examples ± standard error.", ""]
    lines += ["| data set | asked | metric | base model | this model | examples |", "|---|---|---|---|---|---|"]
    for row in evaluations:
        base = "–" if row["base"] is None else f"{row['base']:.3f}"
        lines.append(
            f"| {row['task']}/{row['sample_type']} | {row['prompting']}, {row['prompt_variant']}, {row['decoding']} | {row['scorer']}/{row['metric']} "
            f"| {base} | {row['mean']:.3f} ± {row['standard_error']:.3f} | {row['n']} |"
        )
    if any(f"{row['task']}/{row['sample_type']}" != target for row in evaluations):
        lines += ["", f"It was trained for {target}; the other data sets show what carries over."]
    return lines


def _usage(base: str, full: bool) -> list[str]:
    if full:
        return [
            "```python",
            "from transformers import AutoModelForCausalLM",
            'model = AutoModelForCausalLM.from_pretrained(".")',
            "```",
        ]
    return [
        "```python",
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        f'base = AutoModelForCausalLM.from_pretrained("{base}")',
        f'tokenizer = AutoTokenizer.from_pretrained("{base}")',
        'model = PeftModel.from_pretrained(base, ".")',
        "```",
    ]
