"""All tables and figures, from finished files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from loragrid.analysis.agreement import annotator_agreement, asked_rows
from loragrid.analysis.comparisons import compare_with_base, summarise_transfer
from loragrid.analysis.costs import prediction_costs, read_training_costs, scoring_costs
from loragrid.analysis.figures import learning_curves, length_histograms, loss_curves, save_figure
from loragrid.analysis.labels import run_labels
from loragrid.analysis.reading import read_groups, read_losses, read_predictions, read_scores, read_texts
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.analysis.sample_types import comparable_runs, compare_sample_types
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.summaries import summarise, summarise_groups
from loragrid.analysis.table_files import write_table
from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.layout import Dataset, mix_name
from loragrid.runtime.job import log

Paths = Sequence[str | Path]


def analyse(
    predictions: Paths,
    scores: Paths,
    losses: Paths,
    manifests: Paths,
    tests: Paths,
    settings: AnalysisSettings,
    outputs: Mapping[str, str | Path],
) -> None:
    """Read the given files and write every table and figure of the report.

    Args:
        manifests: manifests of the trainings.
        tests: test sets.
        outputs: where each table and figure is written, by the names in `layout.ANALYSE`.
    """
    prediction_table, score_table = read_predictions(predictions), read_scores(scores)
    log.info("%d predictions, %d scores", len(prediction_table), len(score_table))
    facts = settings.kinds
    refuse_unrelated_rows(prediction_table, score_table, scores, tests, facts)
    summary = summarise(score_table, prediction_table, facts)
    groups = read_groups(tests, settings.group_by)
    comparisons = compare_with_base(score_table, summary, facts)
    runs = comparable_runs(summary)
    texts = read_texts(tests, set(runs[["task", "sample_type"]].itertuples(index=False, name=None)))
    sample_types, sample_types_overall = compare_sample_types(score_table, runs, texts, facts, settings.metric)
    course = read_losses(losses)
    of_sheets = {name: asked_rows(sheets, predictions, tests) for name, sheets in settings.sheets.items()}
    asked = {name: rows for name, rows in of_sheets.items() if rows is not None}
    tables = {
        "scores": summary,
        "groups": summarise_groups(score_table, groups, prediction_table, facts),
        "comparisons": comparisons,
        "transfer": summarise_transfer(comparisons),
        "sample_types": sample_types,
        "sample_types_overall": sample_types_overall,
        "predictions": prediction_table,
        "losses": course,
        "training_costs": read_training_costs(manifests),
        "prediction_costs": prediction_costs(prediction_table, settings.prices),
        "agreement": annotator_agreement(score_table, settings.levels, asked),
        "scoring_costs": scoring_costs(score_table, settings.judge_prices),
    }
    figures = {
        "learning_curves": learning_curves(summary, settings.metric),
        "loss_curves": loss_curves(course, run_labels(prediction_table)),
    }
    write_all(tables, figures, outputs)


def describe_data(
    datasets: Paths,
    dataset_manifests: Paths,
    mixes: Paths,
    mix_manifests: Paths,
    tokens: Paths,
    leaks: Paths,
    outputs: Mapping[str, str | Path],
) -> None:
    """Write the tables and the figure that describe the data.

    Args:
        outputs: where each table and figure is written, by the names in `layout.DESCRIBE_DATA`.
    """
    lengths = example_lengths(datasets, tokens, lambda path: Dataset.of(path).name)
    tables = {
        "data_sets": count_examples(dataset_manifests, leaks),
        "mixes": count_mixes(mix_manifests),
        "lengths": summarise_lengths(pd.concat([lengths, example_lengths(mixes, tokens, mix_name)])),
    }
    write_all(tables, {"figure": length_histograms(lengths)}, outputs)


def write_all(tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure], outputs: Mapping[str, str | Path]) -> None:
    """Write tables and figures in every format that has an output."""
    for name, table in tables.items():
        write_table(table, *_formats(name, "parquet", outputs))
    for name, figure in figures.items():
        save_figure(figure, *_formats(name, "png", outputs))


def _formats(name: str, other: str, outputs: Mapping[str, str | Path]) -> list[str | Path]:
    """Where a table or figure is written, in its own format and in another one."""
    return [outputs[key] for key in (name, f"{name}_{other}") if key in outputs]
