"""What figures are called, what their captions say, and what their axes are called."""

from __future__ import annotations

TITLES = {
    "learning_curves": "Learning curves",
    "learning_curves_symlog": "Learning curves from the base model on",
    "contrast_intervals": "Differences with their intervals",
    "transfer_scores": "What training on one task does on others: scores",
    "transfer_differences": "What training on one task does on others: differences from the base model",
    "scorer_correlations": "How scorers go together",
    "scorer_correlations_resampled": "How scorers go together among ten answers",
    "scorer_correlations_by_policy": "How scorers go together within a way",
    "score_distributions": "Scores of single answers",
    "scores_over_seeds": "Training seeds",
    "loss_curves": "Loss",
    "cost_quality": "Cost and quality",
    "run_times": "Run times",
    "tokens": "Tokens of prompts and answers",
    "judge_length": "Scores by length of the answer",
    "text_lengths": "Lengths of texts",
}
"""Titles of figures, by their names in `layout.FIGURES`."""

CATEGORIES = {
    "learning_curves": "Results",
    "learning_curves_symlog": "Results",
    "contrast_intervals": "Comparisons",
    "transfer_scores": "Transfer",
    "transfer_differences": "Transfer",
    "scorer_correlations": "Scorers",
    "scorer_correlations_resampled": "Scorers",
    "scorer_correlations_by_policy": "Scorers",
    "score_distributions": "Results",
    "scores_over_seeds": "Results",
    "loss_curves": "Training",
    "cost_quality": "Costs",
    "run_times": "Costs",
    "tokens": "Costs",
    "judge_length": "Scorers",
    "text_lengths": "Data",
}
"""Where a figure stands in Snakemake's own report."""

_BAND = "over the test questions and, where there are several, over training seeds"

CAPTIONS = {
    "learning_curves": "Mean in the task's main metric by the number of training examples (logarithmic), for ways tested on the "
    f"task that they were trained for. Bands are 95 % intervals {_BAND}. Dashed: the base model, asked alike. Dotted: the best "
    "trivial baseline.",
    "learning_curves_symlog": "The same curves, each beginning with its base model at 0 training examples: the axis is linear up "
    f"to the smallest number and logarithmic from there on. Bands are 95 % intervals {_BAND}.",
    "contrast_intervals": "Each difference between two ways in the main metric, with its interval and verdict. In a family "
    "declared beforehand, the intervals hold together with 95 %; the others are exploratory, 95 % each. The largest differences "
    "come first.",
    "transfer_scores": "Rows are ways of training, columns are the data sets that they are tested on, numbers are means in the "
    "task's main metric. Colour: from the worst to the best of the column.",
    "transfer_differences": "Mean difference from the base model in the task's main metric. Filled cells have a verdict that "
    "decides; cells with an outline only are undecided. Blue is better, orange is worse, relative to the largest difference in "
    "the same metric.",
    "scorer_correlations": "Spearman's rank correlation of each two metrics: among the answers to one question (needed to tell "
    "models apart), over all answers, and between means of ways.",
    "scorer_correlations_resampled": "Mean of Spearman's rank correlation among ten answers drawn from all, over 1,000 draws, as "
    "in Faysse et al. (2023, arXiv:2310.14103). The draws have a fixed seed.",
    "scorer_correlations_by_policy": "Spearman's rank correlation among the answers of one way to all questions, as the mean "
    "over ways (by policy, as in Faysse et al. 2023, arXiv:2310.14103).",
    "score_distributions": "How the scores of single answers in the task's main metric spread: the darker, the larger the share "
    "of a way's answers. The line is their mean. Seeds are taken together.",
    "scores_over_seeds": "Mean in the task's main metric of each training, by way: points are seeds, boxes go from the first to "
    "the third quartile, with the median. Only ways with several seeds.",
    "loss_curves": "Loss per target token over the optimiser steps: training (thin line; means over neighbouring steps where "
    "there are more than 100) and validation (points).",
    "cost_quality": "Mean in the task's main metric against the seconds of training a run, and against the seconds that an "
    "answer takes. The stepped line joins what nothing else beats at the same cost or less (Pareto front). "
    "Base models train for 0 s.",
    "run_times": "How long trainings took, and how long it took to compute one answer: the number of trainings and of answers in "
    "each range of seconds (logarithmic).",
    "tokens": "Tokens of prompts and of answers: the share of the prompts or answers of base models and of fine-tuned ones in "
    "each range.",
    "judge_length": "Mean score by the length of the answer in characters (logarithmic), for judges, or for the main metric "
    "where there is no judge. That longer answers have better scores is no fault by itself: they may be better.",
    "text_lengths": "Lengths of inputs and outputs of all splits, in tokens of the first base model, or in words if nothing is "
    "tokenised. The longest hundredth of the texts is left out.",
}
"""What a figure shows, by its name; without what depends on the data."""

MEAN = "mean of the main metric"
NB_SAMPLES = "training examples"
DIFFERENCE = "difference in the main metric"


def mean_title(metrics: list[str]) -> str:
    """What an axis of means is called: by its metric, if there is only one."""
    return f"mean {metrics[0]}" if len(metrics) == 1 else MEAN
