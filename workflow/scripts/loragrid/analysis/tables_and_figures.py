"""All tables and figures, from finished files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from loragrid.analysis.agreement import annotator_agreement, asked_rows
from loragrid.analysis.comparisons import compare_with_base, summarise_transfer
from loragrid.analysis.contrasts.matrices import Measured, measure
from loragrid.analysis.contrasts.questions import read_questions
from loragrid.analysis.contrasts.tables import compare_measured
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.costs import prediction_costs, read_training_costs, scoring_costs
from loragrid.analysis.figures import learning_curves, length_histograms, loss_curves, save_figure
from loragrid.analysis.labels import run_labels
from loragrid.analysis.main_table.latex import as_latex
from loragrid.analysis.main_table.markdown import as_markdown
from loragrid.analysis.main_table.parts import parts_of
from loragrid.analysis.main_table.spreadsheets import as_columns, wide_runs, wide_ways
from loragrid.analysis.reading import of_split, read_groups, read_losses, read_predictions, read_scores
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.analysis.scorer_study.study import study_scorers
from loragrid.analysis.selection.table import COLUMNS, selection_table
from loragrid.analysis.selection.validation import Validation, read_validation
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.summaries import summarise, summarise_groups
from loragrid.analysis.table_files import write_table
from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.layout import TEST, VALIDATION, Dataset, Evaluation, mix_name
from loragrid.runtime.files import written_whole
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
    chosen_by: Paths = (),
    leaks: Paths = (),
) -> None:
    """Read the given files and write every table and figure of the report.

    Args:
        predictions, scores: of test examples, and of validation examples if ways are chosen by them.
        manifests: manifests of the trainings.
        tests: test sets.
        outputs: where each table and figure is written, by the names in `layout.ANALYSE`.
        chosen_by: the validation parts of data sets, if ways are chosen by them.
        leaks: for each data set, the file that lists which of its examples are in a test set; needed to choose.
    """
    validation = of_split(predictions, VALIDATION, Evaluation.of_predictions), of_split(scores, VALIDATION, Evaluation.of_scores)
    predictions = of_split(predictions, TEST, Evaluation.of_predictions)
    scores = of_split(scores, TEST, Evaluation.of_scores)
    prediction_table, score_table = read_predictions(predictions), read_scores(scores)
    log.info("%d predictions, %d scores", len(prediction_table), len(score_table))
    facts = settings.kinds
    refuse_unrelated_rows(prediction_table, score_table, scores, tests, facts)
    summary = summarise(score_table, prediction_table, facts)
    groups = read_groups(tests, settings.group_by)
    comparisons = compare_with_base(score_table, summary, facts)
    questions = read_questions(tests, settings.cluster_by)
    measured = list(measure(score_table, questions, facts, settings.bounds))
    ways, contrasts = compare_measured(measured, prediction_table, settings)
    parts = parts_of(ways, settings.table, settings.metric)
    course = read_losses(losses)
    of_sheets = {name: asked_rows(sheets, predictions, tests) for name, sheets in settings.sheets.items()}
    asked = {name: rows for name, rows in of_sheets.items() if rows is not None}
    validated = read_validation(*validation, chosen_by, leaks, course, manifests, facts) if settings.selection else None
    tables = {
        "scores": summary,
        "groups": summarise_groups(score_table, groups, prediction_table, facts),
        "comparisons": comparisons,
        "transfer": summarise_transfer(comparisons),
        "ways": ways,
        "contrasts": contrasts,
        "main": as_columns(parts),
        "wide": wide_runs(summary),
        "wide_ways": wide_ways(ways),
        "predictions": prediction_table,
        "selection": choices(measured, prediction_table, validated, settings),
        "losses": course,
        "training_costs": read_training_costs(manifests),
        "prediction_costs": prediction_costs(prediction_table, settings.prices),
        "agreement": annotator_agreement(score_table, settings.levels, asked),
        "scoring_costs": scoring_costs(score_table, settings.judge_prices),
    }
    tables |= study_scorers(score_table, prediction_table, questions, settings)
    figures = {
        "learning_curves": learning_curves(summary, settings.metric),
        "loss_curves": loss_curves(course, run_labels(prediction_table)),
    }
    write_all(tables, figures, outputs)
    for name, text in (("main_md", as_markdown(parts)), ("main_tex", as_latex(parts))):
        with written_whole(outputs[name]) as temporary:
            temporary.write_text(text, encoding="utf-8")


def choices(
    measured: Sequence[Measured], predictions: pd.DataFrame, validated: Validation | None, settings: AnalysisSettings
) -> pd.DataFrame:
    """The table of choices on validation data; without rows if nothing is to be chosen.

    Args:
        measured, predictions: of test examples.
    """
    if settings.selection is None or validated is None:
        return pd.DataFrame(columns=COLUMNS)
    return selection_table(settings.selection, ways_of(predictions), measured, validated, settings.kinds)


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
