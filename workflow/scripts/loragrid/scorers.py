"""The registry of scorers: what each type of configuration entry stands for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from loragrid.files import file_sha256, fingerprint
from loragrid.job import versions
from loragrid.records import Prediction
from loragrid.scorer_settings import (
    CustomScorer,
    EvaluateScorer,
    ExactMatchScorer,
    RougeScorer,
    SbertScorer,
    Scorer,
    decisive_settings,
    scorer_files,
)
from loragrid.scoring import Item, Outcome, ScorerFunction, scored_once

READ_EXAMPLES = ("reward", "judge", "custom", "spans", "ratings")
"""Types that read the test examples too."""


def score_items(
    settings: Scorer,
    items: Sequence[Item],
    waiting: Callable[[], Iterable[Item]],
    model_folder: Path | None,
    base: Sequence[Prediction] | None,
    version: int,
    resources: Mapping[str, Any],
    threads: int,
) -> Sequence[Outcome]:
    """The outcomes of all items.

    Args:
        waiting: answers in other files that wait for the same scorer.
        model_folder: where the model is that the scorer loads.
        base: what the base model answers, for scorers that compare with it.
        version: of the stage.
        resources, threads: of the job.
    """
    if model_folder is None:
        return make_scorer(settings, base)(items)

    scorer: ScorerFunction | None = None

    def start(items: Sequence[Item]) -> Sequence[Outcome]:
        nonlocal scorer
        if scorer is None:
            # To import torch takes seconds.
            import torch

            from loragrid.devices import lease_gpus

            lease_gpus(resources)
            torch.set_num_threads(threads)
            scorer = make_model_scorer(settings, model_folder)
        return scorer(items)

    return scored_once(items, waiting, start, store_of(settings, model_folder, version))


def store_of(settings: Scorer, model_folder: Path, version: int) -> Path:
    """Where the values of a scorer that loads a model are kept."""
    model = json.loads((model_folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    files = {key: file_sha256(path) for key, path in scorer_files(settings).items()}
    identity = [decisive_settings(settings), model, files, versions("torch", "transformers"), version]
    return Path("results/.state/scores") / f"{settings.type}-{fingerprint(identity)[:32]}.jsonl"


def make_scorer(settings: Scorer, base: Sequence[Prediction] | None) -> ScorerFunction:
    """The scorer that a configuration entry describes, of those that load no model.

    Args:
        base: what the base model answers, for scorers that compare with it.
    """
    match settings:
        case RougeScorer():
            from loragrid.scorer_overlap import rouge

            return rouge(settings.stemmer)
        case ExactMatchScorer():
            from loragrid.scorer_overlap import exact_match

            return exact_match(settings.normalise)
        case EvaluateScorer():
            from loragrid.scorer_evaluate import evaluate_metric

            return evaluate_metric(settings)
        case CustomScorer():
            from loragrid.scorer_custom import custom

            return custom(settings.function, settings.metrics, settings.arguments)
    raise NotImplementedError(settings.type)


def make_model_scorer(settings: Scorer, model_folder: Path) -> ScorerFunction:
    """The scorer that a configuration entry describes, of those that load a model."""
    match settings:
        case SbertScorer():
            from loragrid.scorer_embeddings import sbert

            return sbert(model_folder)
    raise NotImplementedError(settings.type)
