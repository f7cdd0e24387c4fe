"""All tables and figures, from finished files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from loragrid.analysis.all_tables import GridFiles, Paths, make_tables
from loragrid.analysis.figures.all_figures import figures_of_data, figures_of_results
from loragrid.analysis.figures.files import write_figures
from loragrid.analysis.main_table.latex import as_latex
from loragrid.analysis.main_table.markdown import as_markdown
from loragrid.analysis.settings import AnalysisSettings
from loragrid.analysis.table_files import write_table
from loragrid.data.counts import count_examples, count_mixes, example_lengths, summarise_lengths
from loragrid.layout import Dataset, mix_name
from loragrid.runtime.files import written_whole


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
    probes: Paths = (),
) -> None:
    """Read the given files, as `GridFiles` describes them, and write every table and figure of the report.

    Args:
        outputs: where each table and figure is written, by the names in `layout.ANALYSE`.
    """
    made = make_tables(GridFiles(predictions, scores, losses, manifests, tests, chosen_by, leaks, probes), settings)
    write_tables(made.by_name, outputs)
    for name, text in (("main_md", as_markdown(made.parts)), ("main_tex", as_latex(made.parts))):
        with written_whole(outputs[name]) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_figures(figures_of_results(made, settings), outputs)


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
    write_tables(tables, outputs)
    write_figures(figures_of_data(lengths), outputs)


def write_tables(tables: Mapping[str, pd.DataFrame], outputs: Mapping[str, str | Path]) -> None:
    """Write tables as CSV and Parquet, where there is such an output."""
    for name, table in tables.items():
        write_table(table, *(outputs[key] for key in (name, f"{name}_parquet") if key in outputs))
