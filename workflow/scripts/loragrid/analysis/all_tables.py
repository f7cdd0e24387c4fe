"""All tables about the results of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from loragrid.analysis.agreement import annotator_agreement, asked_rows
from loragrid.analysis.comparisons import compare_with_base, summarise_transfer
from loragrid.analysis.contrasts.matrices import Measured, measure
from loragrid.analysis.contrasts.questions import read_questions
from loragrid.analysis.contrasts.tables import compare_measured
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.costs import prediction_costs, read_training_costs, scoring_costs
from loragrid.analysis.forgetting import forgetting_table, forgotten_of
from loragrid.analysis.main_table.parts import Part, parts_of
from loragrid.analysis.main_table.spreadsheets import as_columns, wide_runs, wide_ways
from loragrid.analysis.ranks import rank_ways
from loragrid.analysis.reading import of_split, read_groups, read_losses, read_predictions, read_scores
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.analysis.scorer_study.answers import Answered, answered
from loragrid.analysis.scorer_study.study import study_scorers
from loragrid.analysis.selection.table import COLUMNS, selection_table
from loragrid.analysis.selection.validation import Validation, read_validation
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.slices.divisions import read_divisions
from loragrid.analysis.slices.table import slice_ways
from loragrid.analysis.summaries import summarise, summarise_groups
from loragrid.layout import TEST, VALIDATION, Evaluation
from loragrid.runtime.job import log

Paths = Sequence[str | Path]


class GridFiles(NamedTuple):
    """The files that tables and figures are made from."""

    predictions: Paths
    """Of test examples, and of validation examples if ways are chosen by them."""
    scores: Paths
    """Of the same examples."""
    losses: Paths
    manifests: Paths
    """Manifests of the trainings."""
    tests: Paths
    """Test sets."""
    chosen_by: Paths = ()
    """The validation parts of data sets, if ways are chosen by them."""
    leaks: Paths = ()
    """For each data set, the file that lists which of its examples are in a test set; needed to choose."""
    probes: Paths = ()
    """What models make of a text of general language, if they are asked."""


class Tables(NamedTuple):
    """What is known about the results."""

    by_name: dict[str, pd.DataFrame]
    """The tables by their names in `layout.ANALYSE`."""
    parts: Sequence[Part]
    """Of the table of the study."""
    scores: pd.DataFrame
    """Every score of a test example, one row per prediction and metric."""
    answered: Sequence[Answered]
    """What each scorer says about each answer, by data set."""


def make_tables(files: GridFiles, settings: AnalysisSettings) -> Tables:
    """Read the files, and make every table but those in other formats than CSV and Parquet."""
    validation = (
        of_split(files.predictions, VALIDATION, Evaluation.of_predictions),
        of_split(files.scores, VALIDATION, Evaluation.of_scores),
    )
    predictions = of_split(files.predictions, TEST, Evaluation.of_predictions)
    scores = of_split(files.scores, TEST, Evaluation.of_scores)
    prediction_table, score_table = read_predictions(predictions), read_scores(scores)
    log.info("%d predictions, %d scores", len(prediction_table), len(score_table))
    facts = settings.kinds
    refuse_unrelated_rows(prediction_table, score_table, scores, files.tests, facts)
    summary = summarise(score_table, prediction_table, facts)
    groups = read_groups(files.tests, settings.group_by)
    comparisons = compare_with_base(score_table, summary, facts)
    questions = read_questions(files.tests, settings.cluster_by)
    measured = list(measure(score_table, questions, facts, settings.bounds))
    ways, contrasts = compare_measured(measured, prediction_table, settings)
    way_members = ways_of(prediction_table)
    forgetting = forgetting_table(files.probes, comparisons, settings.main, settings.mixed_tasks)
    parts = parts_of(ways, settings.table, settings.main, forgotten_of(forgetting))
    course = read_losses(files.losses)
    of_sheets = {name: asked_rows(sheets, predictions, files.tests) for name, sheets in settings.sheets.items()}
    asked = {name: rows for name, rows in of_sheets.items() if rows is not None}
    validated = None
    if settings.selection:
        validated = read_validation(*validation, files.chosen_by, files.leaks, course, files.manifests, facts)
    tables = {
        "scores": summary,
        "groups": summarise_groups(score_table, groups, prediction_table, facts),
        "comparisons": comparisons,
        "transfer": summarise_transfer(comparisons),
        "ways": ways,
        "contrasts": contrasts,
        "ranks": rank_ways(way_members, measured, settings.main),
        "slices": slice_ways(way_members, measured, read_divisions(files.tests), prediction_table, settings.main),
        "main": as_columns(parts),
        "wide": wide_runs(summary),
        "wide_ways": wide_ways(ways),
        "predictions": prediction_table,
        "forgetting": forgetting,
        "selection": choices(measured, prediction_table, validated, settings),
        "losses": course,
        "training_costs": read_training_costs(files.manifests),
        "prediction_costs": prediction_costs(prediction_table, settings.prices),
        "agreement": annotator_agreement(score_table, settings.levels, asked),
        "scoring_costs": scoring_costs(score_table, settings.judge_prices),
    }
    datasets = list(answered(score_table, prediction_table, questions, facts))
    return Tables(tables | study_scorers(datasets, settings), parts, score_table, datasets)


def choices(
    measured: Sequence[Measured], predictions: pd.DataFrame, validated: Validation | None, settings: AnalysisSettings
) -> pd.DataFrame:
    """The table of choices on validation data; without rows if nothing is to be chosen.

    Args:
        measured, predictions: of test examples.
    """
    if settings.selection is None or validated is None:
        return pd.DataFrame(columns=COLUMNS)
    return selection_table(settings.selection, ways_of(predictions), measured, validated, settings.kinds, settings.config_of)
