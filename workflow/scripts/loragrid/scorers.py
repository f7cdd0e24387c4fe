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
    BertScoreScorer,
    BleuScorer,
    ChrfScorer,
    CustomScorer,
    EvaluateScorer,
    ExactMatchScorer,
    HumanScorer,
    JudgeScorer,
    LabelScorer,
    LengthScorer,
    NumberScorer,
    PerplexityScorer,
    RatingsScorer,
    RefusalScorer,
    RewardScorer,
    RougeScorer,
    SbertScorer,
    Scorer,
    SpansScorer,
    SquadScorer,
    TokenF1Scorer,
    TrueFalseScorer,
    decisive_settings,
    scorer_files,
)
from loragrid.scoring import Item, Outcome, Scored, ScorerFunction, items_of, scored_once
from loragrid.states import describe_state

READ_EXAMPLES = ("reward", "judge", "custom", "spans", "ratings")
"""Types that read the test examples too."""

SLOW_TO_START = ("rouge",)
"""Types whose values are kept although they load no model: to import their library takes longer than to score a file."""


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

            from loragrid.devices import lease_gpus

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


def make_scorer(
    name: str, settings: Scorer, base: Sequence[Prediction] | None, human_evaluation: Mapping[str, Any] | None
) -> ScorerFunction:
    """The scorer that a configuration entry describes, of those that load no model.

    Args:
        name: of the scorer in the configuration.
        base: what the base model answers, for scorers that compare with it.
        human_evaluation: its `seed` and the values of its `criteria`, for scorers that read its sheets.
    """
    match settings:
        case RougeScorer():
            from loragrid.scorer_overlap import rouge

            return rouge(settings.stemmer, settings.tokenizer, settings.split_sentences)
        case BleuScorer():
            from loragrid.scorer_overlap import bleu

            return bleu(settings.tokenize, settings.lowercase)
        case ChrfScorer():
            from loragrid.scorer_overlap import chrf

            return chrf(settings.word_order)
        case ExactMatchScorer():
            from loragrid.scorer_overlap import exact_match

            return exact_match(settings.normalise)
        case SquadScorer():
            from loragrid.scorer_overlap import squad

            return squad
        case TokenF1Scorer():
            from loragrid.scorer_overlap import token_f1

            return token_f1
        case LabelScorer():
            from loragrid.scorer_labels import label

            return label(settings.labels, settings.read)
        case TrueFalseScorer():
            from loragrid.scorer_labels import true_false

            return true_false(settings.cut)
        case RefusalScorer():
            from loragrid.scorer_refusal import refusal

            return refusal(settings.phrases)
        case NumberScorer():
            from loragrid.scorer_numbers import number

            return number(settings.read, settings.tolerance)
        case LengthScorer():
            from loragrid.scorer_numbers import length

            return length
        case SpansScorer():
            from loragrid.scorer_spans import spans

            return spans(settings.format, settings.case)
        case JudgeScorer():
            from loragrid.scorer_judge import judge, judge_store, place_of

            answers = None
            if base is not None:
                answers = {place_of(item): item.prediction for of_prediction in items_of(base) for item in of_prediction}
            return judge(name, settings, answers, judge_store(settings))
        case EvaluateScorer():
            from loragrid.scorer_evaluate import evaluate_metric

            return evaluate_metric(settings)
        case CustomScorer():
            from loragrid.scorer_custom import custom

            return custom(settings.function, settings.metrics, settings.arguments)
        case HumanScorer() if human_evaluation is not None:
            from loragrid.scorer_human import human

            return human(settings.evaluation, **human_evaluation, sheets=settings.sheets)
        case RatingsScorer():
            from loragrid.scorer_human import ratings

            return ratings(settings.file, settings.criteria, settings.runs)
    raise NotImplementedError(settings.type)


def make_model_scorer(settings: Scorer, model_folder: Path) -> ScorerFunction:
    """The scorer that a configuration entry describes, of those that load a model."""
    match settings:
        case SbertScorer():
            from loragrid.scorer_embeddings import sbert

            return sbert(model_folder)
        case BertScoreScorer():
            from loragrid.scorer_embeddings import bertscore, read_baseline

            baseline = read_baseline(settings.baseline, settings.layer) if settings.baseline else None
            return bertscore(model_folder, settings.layer, baseline)
        case RewardScorer():
            from loragrid.scorer_models import reward

            return reward(model_folder, settings.label)
        case PerplexityScorer():
            from loragrid.scorer_models import perplexity

            return perplexity(model_folder, settings.dtype)
    raise NotImplementedError(settings.type)
