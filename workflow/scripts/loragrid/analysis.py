"""From finished files to tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loragrid.figures import learning_curves, loss_curves, save_figure
from loragrid.job import log
from loragrid.tables import (
    compare_with_base,
    prediction_costs,
    read_losses,
    read_predictions,
    read_scores,
    read_training_costs,
    run_labels,
    summarise,
    write_table,
)


def analyse(
    predictions: Sequence[str | Path],
    scores: Sequence[str | Path],
    losses: Sequence[str | Path],
    manifests: Sequence[str | Path],
    metric: str,
    tables: Path,
    figures: Path,
) -> None:
    """Read the given files and write every table and figure of the report.

    Args:
        manifests: manifests of the trainings.
        metric: the metric of the learning curves, as `scorer/metric`.
        tables, figures: folders to write to.
    """
    prediction_table = read_predictions(predictions)
    score_table = read_scores(scores)
    log.info("%d predictions, %d scores", len(prediction_table), len(score_table))
    summary = summarise(score_table, prediction_table)
    course = read_losses(losses)
    labels = run_labels(prediction_table)

    write_table(summary, tables / "scores.csv", tables / "scores.parquet")
    comparisons = compare_with_base(score_table, summary)
    write_table(comparisons, tables / "comparisons.csv", tables / "comparisons.parquet")
    write_table(prediction_table, tables / "predictions.parquet")
    write_table(course, tables / "losses.csv", tables / "losses.parquet")
    write_table(read_training_costs(manifests), tables / "training_costs.csv")
    write_table(prediction_costs(prediction_table), tables / "prediction_costs.csv")
    save_figure(learning_curves(summary, metric), figures / "learning_curves.svg", figures / "learning_curves.png")
    save_figure(loss_curves(course, labels), figures / "loss_curves.svg", figures / "loss_curves.png")
