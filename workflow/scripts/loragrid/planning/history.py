"""What earlier jobs took, from their benchmarks and from the manifests beside their results."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from loragrid.layout import BENCHMARKS, PREDICT, TRAIN, TRAIN_FULL, Run
from loragrid.runtime.looking import looked_into
from loragrid.runtime.manifests import read_json

LOOKED_INTO = 20
"""How many of the latest jobs with the same speed are read. A median needs no more."""


FORWARD_SHARE = 0.5
"""The cost of a token in validation, as a share of its cost in training. With adapters, the backward pass needs no gradients of
the frozen weights, and costs about as much as the forward pass."""


MB_PER_MIB = 1.048576
"""Benchmarks and manifests count memory in MiB; jobs ask for MB."""


DESCRIBED = {"train": TRAIN, "train_full": TRAIN_FULL, "predict": PREDICT}
"""The rules with jobs that leave a manifest about their computing."""


class Recorded(NamedTuple):
    """What one job took."""

    rule: str
    base_model: str
    """The base model; empty for rules without one."""
    speed_group: str
    """As `speed_group` gives it."""
    seconds: float
    peak_mb: float
    asked_mb: float | None
    work_s: float | None = None
    """Seconds of training or predicting, if a manifest says so; the other seconds are for starting up."""
    effort: float = 0
    """Tokens processed in that time, as `effort` in `loragrid.planning.workload.Work`."""
    new_per_answer: float | None = None
    """Mean tokens of an answer, for predictions."""
    hardware: str | None = None
    """Processor or GPU, number type and threads, if a manifest says so."""


def speed_group(rule: str, wildcards: Mapping[str, str]) -> str:
    """What decides on the speed of a job besides rule and base model: training configuration, predicted task, or scorer."""
    if rule in ("train", "train_full"):
        run = Run.parse(wildcards["run"])
        return run.config if run else ""
    group = {"predict": "task", "measure_likelihoods": "task", "score": "scorer"}.get(rule, "")
    return wildcards.get(group, "")


def read_history() -> list[Recorded]:
    """What the jobs with existing benchmarks took, latest last.

    Jobs are left out if later jobs of the same rule and base model use other hardware.
    """
    benchmarks = []
    for file in sorted(Path(BENCHMARKS).rglob("*.jsonl"), key=lambda path: path.stat().st_mtime):
        try:
            benchmark = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
            benchmarks.append((_read_benchmark(benchmark), benchmark["wildcards"]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OSError):
            # From a job that was killed, or from something else.
            continue
    seen: Counter[tuple[str, str, str]] = Counter()
    history = []
    for record, wildcards in reversed(benchmarks):
        seen[record[:3]] += 1
        history.append(_with_details(record, wildcards) if seen[record[:3]] <= LOOKED_INTO else record)
    return on_latest_hardware(history[::-1])


def _read_benchmark(benchmark: Mapping[str, Any]) -> Recorded:
    rule, wildcards = benchmark["rule_name"], benchmark["wildcards"]
    peak = benchmark.get("max_rss")
    return Recorded(
        rule,
        wildcards.get("base_model", ""),
        speed_group(rule, wildcards),
        float(benchmark["s"]),
        MB_PER_MIB * peak if isinstance(peak, int | float) else 0.0,
        benchmark["resources"].get("mem_mb"),
    )


def _with_details(record: Recorded, wildcards: Mapping[str, str]) -> Recorded:
    """The record, completed from the manifest beside the job's result, if it is still there."""
    if record.rule not in DESCRIBED:
        return record
    files, job = DESCRIBED[record.rule], {"variant": ""} | dict(wildcards)
    path = files.path("manifest", job)

    def detailed() -> Recorded:
        manifest = read_json(path)
        peak_mb = max(record.peak_mb, MB_PER_MIB * manifest["peak_memory_mb"])
        described = record._replace(peak_mb=peak_mb, hardware=_hardware(manifest["hardware"]))
        if record.rule == "predict":
            return _with_answers(described, manifest, Path(files.path("predictions", job)))
        return described._replace(work_s=manifest["training_s"] or None, effort=training_effort(manifest))

    return looked_into(path, detailed) or record


def _hardware(stated: Mapping[str, Any]) -> str:
    device = stated["processor"] if stated["device"] == "cpu" else stated["device"]
    return f"{device}, {stated['dtype']}, threads: {stated['threads']}"


def training_effort(manifest: Mapping[str, Any]) -> float:
    """Tokens that a training processed, by its manifest: all trained tokens, and validated tokens at their share."""
    config, examples = manifest["config"], manifest["examples"]
    seen = config["epochs"] * examples["train"]
    if config.get("max_steps"):
        seen = config["max_steps"] * config["batch_size"]
    validations = config["evaluations"]
    if config.get("validate_every") and manifest.get("steps"):
        validations = manifest["steps"] / config["validate_every"]
    per_example = manifest["tokens"] / max(seen, 1)
    return float(manifest["tokens"] + FORWARD_SHARE * per_example * examples["validation"] * validations)


def _with_answers(record: Recorded, manifest: Mapping[str, Any], predictions: Path) -> Recorded:
    """The record, completed with the tokens of the job's prompts and answers."""
    with open(predictions, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    new, prompt = (total([row[name] for row in rows]) for name in ("new_tokens", "prompt_tokens"))
    answers = sum(len(row["new_tokens"]) if isinstance(row["new_tokens"], list) else 1 for row in rows)
    record = record._replace(new_per_answer=new / max(answers, 1))
    if manifest.get("taken_over"):
        return record
    return record._replace(work_s=manifest["generation_s"] or None, effort=prompt + new)


def total(counts: Iterable[int | list[int] | None]) -> int:
    """The sum of counts. An example with several prompts has a list of them."""
    return sum(sum(count) if isinstance(count, list) else count or 0 for count in counts)


def on_latest_hardware(history: Iterable[Recorded]) -> list[Recorded]:
    """The records, latest last, of jobs on the same hardware and in the same number type as the latest similar job.

    Jobs of the same rule and base model are similar. Records that name no hardware stay.
    """
    history = list(history)
    latest = {(record.rule, record.base_model): record.hardware for record in history if record.hardware}
    return [record for record in history if record.hardware in (None, latest.get((record.rule, record.base_model)))]


def answer_lengths(history: Iterable[Recorded]) -> dict[tuple[str, str], float]:
    """Mean tokens of an answer by base model and task, as recorded."""
    lengths: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for record in history:
        if record.new_per_answer is not None:
            lengths[record.base_model, record.speed_group].append(record.new_per_answer)
    return {key: sum(of_key) / len(of_key) for key, of_key in lengths.items()}
