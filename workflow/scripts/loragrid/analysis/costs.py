"""What trainings, predictions and judges took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import EVALUATED, MODEL, RUN
from loragrid.analysis.settings import Price
from loragrid.layout import Run
from loragrid.runtime.manifests import read_json
from loragrid.scoring.protocol import add_up


def read_training_costs(manifests: Iterable[str | Path]) -> pd.DataFrame:
    """One row per training: examples, tokens, seconds and peak memory; that of the GPU too, if one was used.

    Args:
        manifests: of the trainings.
    """
    rows = []
    for path in manifests:
        manifest = read_json(path, ["run", "examples", "tokens", "training_s", "wall_time_s", "peak_memory_mb"])
        run = Run(**manifest["run"])
        rows.append(
            {
                **{name: getattr(run, name) for name in EVALUATED},
                "run": run.name,
                "examples": manifest["examples"]["train"],
                "input_cut": len(manifest["examples"]["input_cut"]),
                "dropped": len(manifest["examples"]["dropped"]),
                "tokens": manifest["tokens"],
                "training_s": manifest["training_s"],
                "job_s": manifest["wall_time_s"],
                "peak_memory_mb": manifest["peak_memory_mb"],
                **{name: manifest[name] for name in ("peak_gpu_memory_mb",) if name in manifest},
            }
        )
    columns = [*RUN, "examples", "input_cut", "dropped", "tokens", "training_s", "job_s", "peak_memory_mb"]
    columns += ["peak_gpu_memory_mb"] if any("peak_gpu_memory_mb" in row for row in rows) else []
    return pd.DataFrame(rows, columns=columns)


def prediction_costs(predictions: pd.DataFrame, prices: Mapping[str, Price]) -> pd.DataFrame:
    """One row per model and data set: examples, tokens, seconds, the share of answers cut off, and the cost of 1,000 examples.

    `generation_s` is the computing, shared out among prompts that were answered together. `wait_s` is how long a prompt waited
    for its turn, and `answer_s` how long it then took until the answer was there, both on average. The cost of external
    predictions is unknown; they have no row.

    Args:
        prices: of base models.
    """
    rows = []
    for key, group in predictions.dropna(subset="runtime_s").groupby(MODEL, sort=False):
        seconds, new_tokens = float(group["runtime_s"].sum()), int(group["new_tokens"].sum())
        cut = float((group["finish_reason"] == "length").mean())
        per_second = new_tokens / seconds if seconds else math.nan
        batch_size = int(group["batch_size"].max())
        examples = group["id"].nunique()
        waits = float(group["queue_s"].mean()), float(group["compute_s"].mean())
        cost = math.nan
        if price := prices.get(str(key[0])):
            of_tokens = price_of_tokens(price, int(group["prompt_tokens"].sum()), new_tokens)
            cost = 1000 / examples * (seconds / 3600 * price["hour"] + of_tokens)
        rows.append((*key, examples, batch_size, seconds, seconds / examples, *waits, new_tokens, per_second, cut, cost))
    columns = ["examples", "batch_size", "generation_s", "s_per_example", "wait_s", "answer_s", "new_tokens", "tokens_per_s"]
    return pd.DataFrame(rows, columns=[*MODEL, *columns, "share_cut_off", "cost_per_1000"])


def scoring_costs(scores: pd.DataFrame, prices: Mapping[str, Price]) -> pd.DataFrame:
    """One row per model, data set and judge: calls, tokens, and their cost.

    Args:
        prices: of judges, by scorer.
    """
    # A column without rows has no type.
    used = scores[scores["usage"].map(bool).astype(bool)]
    rows = []
    for key, group in used.groupby([*MODEL, "scorer"], sort=False):
        usage, price = add_up(group["usage"]), prices.get(str(key[-1]))
        prompt_tokens, new_tokens = (int(usage.get(name, 0)) for name in ("prompt_tokens", "new_tokens"))
        cost = price_of_tokens(price, prompt_tokens, new_tokens) if price else math.nan
        rows.append((*key, int(usage.get("calls", 0)), prompt_tokens, new_tokens, cost))
    return pd.DataFrame(rows, columns=[*MODEL, "scorer", "calls", "prompt_tokens", "new_tokens", "cost"])


def price_of_tokens(price: Price, prompt_tokens: int, new_tokens: int) -> float:
    """The cost of prompt tokens and generated tokens."""
    return (prompt_tokens * price["million_prompt_tokens"] + new_tokens * price["million_new_tokens"]) / 1e6
