"""What a score job does: the outcomes of all answers of one prediction file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loragrid.records import Prediction
from loragrid.runtime.files import file_sha256, fingerprint
from loragrid.runtime.job import versions
from loragrid.runtime.states import describe_state
from loragrid.scoring.protocol import Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.registry import SLOW_TO_START, make_model_scorer, make_scorer
from loragrid.scoring.settings import Scorer, decisive_settings, scorer_files
from loragrid.scoring.store import scored_once


def score_items(
    name: str,
    settings: Scorer,
    items: Sequence[Item],
    waiting: Callable[[], Iterable[Item]],
    model_folder: Path | None,
    base: Sequence[Prediction] | None,
    human_evaluation: Mapping[str, Any] | None,
    version: int,
    resources: Mapping[str, Any],
    threads: int,
) -> Sequence[Outcome]:
    """The outcomes of all items.

    Args:
        name: of the scorer in the configuration.
        waiting: answers in other files that wait for the same scorer.
        model_folder: where the model is that the scorer loads.
        base: what the base model answers, for scorers that compare with it.
        human_evaluation: its `seed` and the values of its `criteria`, for scorers that read its sheets.
        version: of the stage.
        resources, threads: of the job.
    """
    if model_folder is None and settings.type not in SLOW_TO_START:
        return make_scorer(name, settings, base, human_evaluation)(items)

    scorer: ScorerFunction | None = None

    def start(items: Sequence[Item]) -> Sequence[Outcome]:
        nonlocal scorer
        if model_folder is None:
            scorer = scorer or make_scorer(name, settings, base, human_evaluation)
            return scorer(items)
        if scorer is None:
            # To import torch takes seconds.
            import torch

            from loragrid.runtime.gpu_leases import lease_gpus

            lease_gpus(resources)
            torch.set_num_threads(threads)
            scorer = make_model_scorer(settings, model_folder)
        return [rounded(outcome) for outcome in scorer(items)]

    store = store_of(settings, model_folder, version)
    describe_state(store, {"settings": decisive_settings(settings)})
    return scored_once(items, waiting, start, store)


def rounded(outcome: Outcome) -> Outcome:
    """Metrics with six significant digits: what is behind them depends on the batch that an answer is scored in."""
    if not isinstance(outcome, Scored):
        return outcome
    return outcome._replace(metrics={name: float(f"{value:.6g}") for name, value in outcome.metrics.items()})


def store_of(settings: Scorer, model_folder: Path | None, version: int) -> Path:
    """Where the values of a scorer are kept that is slow to start."""
    model = json.loads((model_folder / "manifest.json").read_text(encoding="utf-8"))["files"] if model_folder else None
    files = {key: file_sha256(path) for key, path in scorer_files(settings).items()}
    packages = versions("torch", "transformers", "sentence-transformers") if model_folder else versions("rouge-score")
    identity = [decisive_settings(settings), model, files, packages, version]
    return Path("results/.state/scores") / f"{settings.type}-{fingerprint(identity)[:32]}.jsonl"
