"""What earlier jobs took: read from their benchmarks, and from the manifests beside what they made."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

LOOKED_INTO = 20
"""Of how many jobs of a kind, the latest, the results are read. A median needs no more."""


FORWARD_SHARE = 0.5
"""What a token costs that is only validated, as a share of one that is trained on: with adapters the backward pass, which needs no gradients of the
frozen weights, costs about as much as the forward pass."""


class Recorded(NamedTuple):
    """What one job took."""

    rule: str
    base_model: str
    """Empty for rules that know none."""
    kind: str
    """What else decides on its speed: the training configuration, the task that is predicted, the scorer."""
    seconds: float
    peak_mb: float
    asked_mb: float | None
    work_s: float | None = None
    """Seconds of it in which it trained or predicted, where that is known; the others are for starting up."""
    effort: float = 0
    """Tokens that were worked on in that time, as `effort` in `loragrid.planning.workload.Work`."""
    new_per_answer: float | None = None
    """Of predictions: mean tokens of an answer."""
    hardware: str | None = None
    """Processor or GPU, number type and threads, where that is known."""


def kind_of_job(rule: str, wildcards: Mapping[str, str]) -> str:
    """What besides rule and base model decides on the speed of a job."""
    if rule in ("train", "train_full"):
        # Names of mixes, configs and the like hold no double underscores.
        return wildcards["run"].split("__")[-3]
    return {"predict": wildcards.get("task", ""), "score": wildcards.get("scorer", "")}.get(rule, "")


def read_history(results: Path) -> list[Recorded]:
    """What the jobs whose benchmarks are there took, latest last, without those on hardware that their kind of job has left since."""
    found = []
    for file in sorted((results / "benchmarks").rglob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        try:
            benchmark = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
            one = _read_benchmark(benchmark)
        except (ValueError, KeyError, IndexError, TypeError):
            # Of a job that was killed, or not ours.
            continue
        found.append((one, benchmark["wildcards"]))
    seen: Counter[tuple[str, str, str]] = Counter()
    history = []
    for one, wildcards in reversed(found):
        seen[one[:3]] += 1
        history.append(_with_details(one, wildcards, results) if seen[one[:3]] <= LOOKED_INTO else one)
    return on_latest_hardware(history[::-1])


def _read_benchmark(benchmark: Mapping[str, Any]) -> Recorded:
    rule, wildcards = benchmark["rule_name"], benchmark["wildcards"]
    peak = benchmark.get("max_rss")
    return Recorded(
        rule,
        wildcards.get("base_model", ""),
        kind_of_job(rule, wildcards),
        float(benchmark["s"]),
        float(peak) if isinstance(peak, int | float) else 0.0,
        benchmark["resources"].get("mem_mb"),
    )


def _with_details(one: Recorded, wildcards: Mapping[str, str], results: Path) -> Recorded:
    """With what the manifest says that lies beside what the job made, if it is still there."""
    names = {"variant": ""} | dict(wildcards)
    places = {
        "train": "adapters/{task}/{sample_type}/{base_model}/{run}/manifest.json",
        "train_full": "finetuned/{task}/{sample_type}/{base_model}/{run}/manifest.json",
        "predict": "predictions/{task}/{sample_type}/{base_model}/{run}{variant}.manifest.json",
    }
    if one.rule not in places:
        return one
    path = results / places[one.rule].format(**names)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        one = one._replace(peak_mb=max(one.peak_mb, manifest["peak_memory_mb"]), hardware=_hardware(manifest["hardware"]))
        if one.rule == "predict":
            return _predicted(one, manifest, path.with_name(path.name.replace(".manifest.json", ".jsonl")))
        return one._replace(work_s=manifest["training_s"] or None, effort=training_effort(manifest))
    except (OSError, ValueError, KeyError, TypeError):
        return one


def _hardware(said: Mapping[str, Any]) -> str:
    device = said["processor"] if said["device"] == "cpu" else said["device"]
    return f"{device}, {said['dtype']}, threads: {said['threads']}"


def training_effort(manifest: Mapping[str, Any]) -> float:
    """Tokens that a training worked on, by its manifest: those trained on, and those validated at their share."""
    config, examples = manifest["config"], manifest["examples"]
    seen = config["epochs"] * examples["train"]
    if config.get("max_steps"):
        seen = config["max_steps"] * config["batch_size"]
    validations = config["evaluations"]
    if config.get("validate_every") and manifest.get("steps"):
        validations = manifest["steps"] / config["validate_every"]
    per_example = manifest["tokens"] / max(seen, 1)
    return float(manifest["tokens"] + FORWARD_SHARE * per_example * examples["validation"] * validations)


def _predicted(one: Recorded, manifest: Mapping[str, Any], predictions: Path) -> Recorded:
    with open(predictions, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    new, prompt = (total([row[name] for row in rows]) for name in ("new_tokens", "prompt_tokens"))
    answers = sum(len(row["new_tokens"]) if isinstance(row["new_tokens"], list) else 1 for row in rows)
    one = one._replace(new_per_answer=new / max(answers, 1))
    if manifest.get("taken_over"):
        return one
    return one._replace(work_s=manifest["generation_s"] or None, effort=prompt + new)


def total(counts: Iterable[int | list[int] | None]) -> int:
    """The sum of counts, of which an example with several prompts has a list."""
    return sum(sum(one) if isinstance(one, list) else one or 0 for one in counts)


def on_latest_hardware(history: Iterable[Recorded]) -> list[Recorded]:
    """The records, latest last, without those from other hardware or number types than the latest of the same rule and base model."""
    history = list(history)
    latest = {(one.rule, one.base_model): one.hardware for one in history if one.hardware}
    return [one for one in history if one.hardware in (None, latest.get((one.rule, one.base_model)))]


def answer_lengths(history: Iterable[Recorded]) -> dict[tuple[str, str], float]:
    """Mean tokens of an answer by base model and task, as recorded."""
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for one in history:
        if one.new_per_answer is not None:
            found[one.base_model, one.kind].append(one.new_per_answer)
    return {key: sum(lengths) / len(lengths) for key, lengths in found.items()}
