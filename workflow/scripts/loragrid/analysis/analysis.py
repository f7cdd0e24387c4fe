"""From finished files to tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from loragrid.analysis.figures import learning_curves, length_histograms, loss_curves, save_figure
from loragrid.analysis.tables import (
    annotator_agreement,
    compare_with_base,
    prediction_costs,
    read_groups,
    read_losses,
    read_predictions,
    read_scores,
    read_training_costs,
    run_labels,
    scoring_costs,
    summarise,
    summarise_groups,
    summarise_transfer,
    write_table,
)
from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.runtime.job import log


def analyse(
    predictions: Sequence[str | Path],
    scores: Sequence[str | Path],
    losses: Sequence[str | Path],
    manifests: Sequence[str | Path],
    tests: Sequence[str | Path],
    settings: Mapping[str, Any],
    tables: Path,
    figures: Path,
) -> None:
    """Read the given files and write every table and figure of the report.

    Args:
        manifests: manifests of the trainings.
        tests: test sets.
        settings: the `metric` of the learning curves, as `scorer/metric`; the `prices` of base models and of judges (`judge_prices`); the `kinds`
            of scorers; the keys to `group_by`, by task; and the `levels` of criteria, by scorer of human ratings.
        tables, figures: folders to write to.
    """
    prediction_table = read_predictions(predictions)
    score_table = read_scores(scores)
    log.info("%d predictions, %d scores", len(prediction_table), len(score_table))
    kinds = settings["kinds"]
    summary = summarise(score_table, prediction_table, kinds)
    groups = summarise_groups(score_table, read_groups(tests, settings["group_by"]), prediction_table, kinds)
    course = read_losses(losses)
    labels = run_labels(prediction_table)

    write_table(summary, tables / "scores.csv", tables / "scores.parquet")
    write_table(groups, tables / "groups.csv", tables / "groups.parquet")
    comparisons = compare_with_base(score_table, summary, kinds)
    write_table(comparisons, tables / "comparisons.csv", tables / "comparisons.parquet")
    write_table(summarise_transfer(comparisons), tables / "transfer.csv", tables / "transfer.parquet")
    write_table(prediction_table, tables / "predictions.parquet")
    write_table(course, tables / "losses.csv", tables / "losses.parquet")
    write_table(read_training_costs(manifests), tables / "training_costs.csv")
    write_table(prediction_costs(prediction_table, settings["prices"]), tables / "prediction_costs.csv")
    write_table(annotator_agreement(score_table, settings["levels"]), tables / "agreement.csv")
    write_table(scoring_costs(score_table, settings["judge_prices"]), tables / "scoring_costs.csv")
    save_figure(learning_curves(summary, settings["metric"]), figures / "learning_curves.svg", figures / "learning_curves.png")
    save_figure(loss_curves(course, labels), figures / "loss_curves.svg", figures / "loss_curves.png")


def describe_data(
    datasets: Sequence[str | Path],
    dataset_manifests: Sequence[str | Path],
    mixes: Sequence[str | Path],
    mix_manifests: Sequence[str | Path],
    tokens: Sequence[str | Path],
    tables: Path,
    figures: Path,
) -> None:
    """Write the tables and the figure that say what the data is like.

    Args:
        tables, figures: folders to write to.
    """
    lengths = example_lengths(datasets, tokens, depth=2)
    write_table(count_examples(dataset_manifests), tables / "data_sets.csv")
    write_table(count_mixes(mix_manifests), tables / "mixes.csv")
    write_table(summarise_lengths(pd.concat([lengths, example_lengths(mixes, tokens, depth=4)])), tables / "lengths.csv")
    save_figure(length_histograms(lengths), figures / "lengths.svg", figures / "lengths.png")
