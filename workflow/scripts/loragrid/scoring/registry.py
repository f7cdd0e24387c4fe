"""The registry of scorers: what each type of configuration entry stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loragrid.records import Prediction
from loragrid.scoring.protocol import ScorerFunction, items_of
from loragrid.scoring.settings import (
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
)

READ_EXAMPLES = ("reward", "judge", "custom", "spans", "ratings")
"""Types that read the test examples too."""


SLOW_TO_START = ("rouge",)
"""Types whose values are kept although they load no model: to import their library takes longer than to score a file."""


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
            from loragrid.scoring.overlap import rouge

            return rouge(settings.stemmer, settings.tokenizer, settings.split_sentences)
        case BleuScorer():
            from loragrid.scoring.overlap import bleu

            return bleu(settings.tokenize, settings.lowercase)
        case ChrfScorer():
            from loragrid.scoring.overlap import chrf

            return chrf(settings.word_order)
        case ExactMatchScorer():
            from loragrid.scoring.overlap import exact_match

            return exact_match(settings.normalise)
        case SquadScorer():
            from loragrid.scoring.overlap import squad

            return squad
        case TokenF1Scorer():
            from loragrid.scoring.overlap import token_f1

            return token_f1
        case LabelScorer():
            from loragrid.scoring.labels import label

            return label(settings.labels, settings.read)
        case TrueFalseScorer():
            from loragrid.scoring.labels import true_false

            return true_false(settings.cut)
        case RefusalScorer():
            from loragrid.scoring.refusal import refusal

            return refusal(settings.phrases)
        case NumberScorer():
            from loragrid.scoring.numbers import number

            return number(settings.read, settings.tolerance)
        case LengthScorer():
            from loragrid.scoring.numbers import length

            return length
        case SpansScorer():
            from loragrid.scoring.spans import spans

            return spans(settings.format, settings.case)
        case JudgeScorer():
            from loragrid.scoring.judge import judge, judge_store, place_of

            answers = None
            if base is not None:
                answers = {place_of(item): item.prediction for of_prediction in items_of(base) for item in of_prediction}
            return judge(name, settings, answers, judge_store(settings))
        case EvaluateScorer():
            from loragrid.scoring.hf_evaluate import evaluate_metric

            return evaluate_metric(settings)
        case CustomScorer():
            from loragrid.scoring.custom import custom

            return custom(settings.function, settings.metrics, settings.arguments)
        case HumanScorer() if human_evaluation is not None:
            from loragrid.scoring.human import human

            return human(settings.evaluation, **human_evaluation, sheets=settings.sheets)
        case RatingsScorer():
            from loragrid.scoring.human import ratings

            return ratings(settings.file, settings.criteria, settings.runs)
    raise NotImplementedError(settings.type)


def make_model_scorer(settings: Scorer, model_folder: Path) -> ScorerFunction:
    """The scorer that a configuration entry describes, of those that load a model."""
    match settings:
        case SbertScorer():
            from loragrid.scoring.embeddings import sbert

            return sbert(model_folder)
        case BertScoreScorer():
            from loragrid.scoring.embeddings import bertscore, read_baseline

            baseline = read_baseline(settings.baseline, settings.layer) if settings.baseline else None
            return bertscore(model_folder, settings.layer, baseline)
        case RewardScorer():
            from loragrid.scoring.models import reward

            return reward(model_folder, settings.label)
        case PerplexityScorer():
            from loragrid.scoring.models import perplexity

            return perplexity(model_folder, settings.dtype)
    raise NotImplementedError(settings.type)
