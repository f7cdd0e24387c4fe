"""All figures of the report."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from loragrid.analysis.all_tables import Tables
from loragrid.analysis.figures.contrasts import contrast_intervals
from loragrid.analysis.figures.costs import cost_quality, run_times
from loragrid.analysis.figures.figure import Figure
from loragrid.analysis.figures.learning import learning_curves, learning_curves_symlog
from loragrid.analysis.figures.lengths import judge_length, text_lengths, tokens
from loragrid.analysis.figures.losses import loss_curves
from loragrid.analysis.figures.scorers import by_way_rows, correlation_map, correlation_rows, resampled_rows
from loragrid.analysis.figures.scores import score_distributions, scores_over_seeds
from loragrid.analysis.figures.transfer import transfer_differences, transfer_scores
from loragrid.analysis.settings import AnalysisSettings
from loragrid.layout import BASELINE


def figures_of_results(made: Tables, settings: AnalysisSettings) -> dict[str, Figure]:
    """The figures about results, by their names in `layout.FIGURES`."""
    main, tables, datasets = settings.main, made.by_name, made.answered
    ways, contrasts = tables["ways"], tables["contrasts"]
    predictions = without_baselines(tables["predictions"])
    costs = tables["training_costs"], tables["prediction_costs"]
    return {
        "learning_curves": learning_curves(ways, main),
        "learning_curves_symlog": learning_curves_symlog(ways, main),
        "contrast_intervals": contrast_intervals(contrasts, main),
        "transfer_scores": transfer_scores(ways, main),
        "transfer_differences": transfer_differences(contrasts, main),
        "scorer_correlations": correlation_map(correlation_rows(tables["scorers"])),
        "scorer_correlations_resampled": correlation_map(resampled_rows(datasets)),
        "scorer_correlations_by_policy": correlation_map(by_way_rows(datasets)),
        "score_distributions": score_distributions(made.scores, tables["predictions"], main),
        "scores_over_seeds": scores_over_seeds(tables["scores"], main),
        "loss_curves": loss_curves(tables["losses"]),
        "cost_quality": cost_quality(ways, *costs, predictions, main),
        "run_times": run_times(costs[0], predictions),
        "tokens": tokens(predictions),
        "judge_length": judge_length(datasets, main),
    }


def figures_of_data(lengths: pd.DataFrame) -> Mapping[str, Figure]:
    """The figure about data sets.

    Args:
        lengths: as `data.counts.example_lengths` gives them, of data sets.
    """
    return {"text_lengths": text_lengths(lengths)}


def without_baselines(predictions: pd.DataFrame) -> pd.DataFrame:
    """The predictions of models."""
    return predictions[predictions["base_model"] != BASELINE]
