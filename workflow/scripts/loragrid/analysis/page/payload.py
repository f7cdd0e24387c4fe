"""All data of the page but the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.labels import run_labels
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.axes import filter_axes
from loragrid.analysis.page.configs import configs_table, read_hyperparameters
from loragrid.analysis.page.forgetting_rows import forgetting_table
from loragrid.analysis.page.main_rows import main_tables
from loragrid.analysis.page.other_tables import other_tables
from loragrid.analysis.page.rank_rows import ranks_table
from loragrid.analysis.page.result_tables import result_tables
from loragrid.analysis.page.scorer_tables import scorer_tables
from loragrid.analysis.page.slice_rows import slices_table
from loragrid.analysis.page.tables import Payload, payload_of_tables
from loragrid.analysis.settings import ReportContents
from loragrid.analysis.table_files import read_parquet_table


def tables_of(
    files: Mapping[str, str | Path],
    models: pd.DataFrame,
    labels: Mapping[tuple[str, ...], str],
    main: MainMetrics,
    trainings: Sequence[str | Path],
    config_of: Mapping[str, str],
) -> Payload:
    """The tables of the page, by their ids.

    Args:
        files: the outputs of `layout.ANALYSE` and `layout.DESCRIBE_DATA` by their names.
        models: the axes of every model.
        labels: the short name of each, by the columns of `MODEL`.
        trainings: manifests of trainings.
        config_of: the config that each setting of a sweep belongs to.
    """
    ways, contrasts, scores, ranks, slices, forgetting = (
        read_parquet_table(files[f"{name}_parquet"]) for name in ("ways", "contrasts", "scores", "ranks", "slices", "forgetting")
    )
    hyperparameters = read_hyperparameters(trainings)
    return payload_of_tables(
        [
            *main_tables(ways, contrasts, scores, main, hyperparameters, forgetting).values(),
            configs_table(hyperparameters, config_of),
            ranks_table(ranks),
            slices_table(slices),
            forgetting_table(forgetting, run_labels(models)),
            *result_tables(files),
            *scorer_tables(files, labels, main),
            *other_tables(files, labels, run_labels(models)),
        ]
    )


def models_in(predictions: str | Path) -> pd.DataFrame:
    """The axes of every model, in the order of the grid."""
    return pd.read_parquet(predictions, columns=AXES).drop_duplicates(MODEL, ignore_index=True)


def payload_of(
    contents: ReportContents, models: pd.DataFrame, tables: Payload, figures: Sequence[Payload], answers: Payload
) -> Payload:
    """What the page's code is given.

    Args:
        answers: what is said of the answers, which stand elsewhere.
    """
    return {
        "title": contents.title,
        "experiment": contents.experiment,
        "axes": filter_axes(models),
        "tables": tables,
        "figures": list(figures),
        "answers": answers,
    }
