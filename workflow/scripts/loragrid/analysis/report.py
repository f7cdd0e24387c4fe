"""The report: one HTML file that needs no network. Its numbers are the numbers of the tables."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from loragrid.analysis.columns import GROUP, MODEL, RUN
from loragrid.analysis.contrasts.sentences import percent
from loragrid.analysis.findings import (
    counted_findings,
    decided,
    headline,
    lost_in_thoughts,
    sample_type_findings,
    strong_baselines,
    without_common_references,
)
from loragrid.analysis.labels import label_runs, run_labels
from loragrid.analysis.provenance import circumstances_of, missing_answers, read_checks
from loragrid.analysis.report_tables import (
    example_answers,
    family_rows,
    few_groups,
    result_tables,
    transfer_table,
    with_verdicts,
)
from loragrid.analysis.scorer_study.shown import shown_scorers
from loragrid.analysis.scorer_study.study import TABLES
from loragrid.analysis.selection.shown import shown_choices
from loragrid.analysis.settings import ReportContents
from loragrid.analysis.table_files import read_csv_table, read_parquet_table
from loragrid.runtime.files import written_whole

TEMPLATE = Path(__file__).with_suffix(".html.j2")


def write_report(
    path: str | Path,
    contents: ReportContents,
    metric: str,
    state: Sequence[Mapping[str, Any]],
    files: Mapping[str, str | Path],
    checks: Sequence[str | Path],
    manifests: Sequence[str | Path],
    leaking: Sequence[Mapping[str, Any]],
    common: Sequence[float],
    showing: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Fill the report's template from the tables and figures on disk.

    Args:
        state: as `grid_state` gives it.
        files: tables and figures, by the names in `layout.ANALYSE` and `layout.DESCRIBE_DATA`.
        checks: files of the generation checks.
        manifests: manifests of trainings and predictions.
        leaking: as `leaking_mixes` gives it.
        common: as `common_questions` gives it.
        showing: as `leaking_prompts` gives it.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent}
    html = environment.get_template(TEMPLATE.name).render(
        title=contents.title,
        experiment=contents.experiment,
        metric=metric,
        state=state,
        checks=read_checks(checks),
        leaking=leaking,
        common=common,
        showing=showing,
        circumstances=circumstances_of(manifests),
        missing_answers=missing_answers(manifests),
        **results_of_models(files, metric, contents.examples),
        **description_of_data(files),
    )
    with written_whole(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def results_of_models(files: Mapping[str, str | Path], metric: str, nb_examples: int) -> dict[str, Any]:
    """What the template shows from the outputs of `layout.ANALYSE`."""
    summary = read_parquet_table(files["scores_parquet"])
    comparisons, contrasts = (read_parquet_table(files[name]) for name in ("comparisons_parquet", "contrasts_parquet"))
    predictions = read_parquet_table(files["predictions"])
    sample_types = sample_type_findings(contrasts, metric)
    models = predictions.drop_duplicates(MODEL)
    model_labels = dict(zip(models[MODEL].itertuples(index=False, name=None), label_runs(models), strict=True))
    return {
        "headline": headline(contrasts, metric),
        "family": family_rows(contrasts),
        "conclusions": decided(contrasts, metric),
        "sample_types": sample_types,
        "sample_types_in_short": counted_findings(sample_types),
        "apart": without_common_references(summary),
        "strong_baselines": strong_baselines(summary, metric),
        "lost_in_thoughts": lost_in_thoughts(predictions),
        "results": result_tables(summary, with_verdicts(comparisons, contrasts)),
        "choices": shown_choices(read_parquet_table(files["selection_parquet"]), metric),
        "groups": result_tables(few_groups(read_parquet_table(files["groups_parquet"])), comparisons, GROUP),
        "compared": not comparisons.empty,
        "transfer": transfer_table(read_parquet_table(files["transfer_parquet"]), contrasts, metric),
        "learning_curves": as_data_uri(files["learning_curves"]),
        "loss_curves": as_data_uri(files["loss_curves"]),
        "examples": example_answers(predictions, nb_examples),
        "training_costs": labelled_costs(files["training_costs"], RUN, run_labels(predictions)),
        "prediction_costs": labelled_costs(files["prediction_costs"], MODEL, model_labels),
        "scoring_costs": labelled_costs(files["scoring_costs"], MODEL, model_labels),
        "scorers": shown_scorers({name: read_parquet_table(files[f"{name}_parquet"]) for name in TABLES}, metric, model_labels),
        "agreement": read_csv_table(files["agreement"]).to_dict("records"),
    }


def description_of_data(files: Mapping[str, str | Path]) -> dict[str, Any]:
    """What the template shows from the outputs of `layout.DESCRIBE_DATA`."""
    tables = {
        name: pd.read_csv(files[name], keep_default_na=False).to_dict("records") for name in ("data_sets", "mixes", "lengths")
    }
    return {**tables, "lengths_figure": as_data_uri(files["figure"])}


def labelled_costs(path: str | Path, keys: Sequence[str], labels: Mapping[tuple[str, ...], str]) -> list[dict[str, Any]]:
    """The rows of a table of costs, with the label of each model.

    Args:
        keys: the columns that name a model, the run's name fourth.
        labels: of models, by these columns.
    """
    table = read_csv_table(path, [*keys, "scorer"], keys)
    named = [labels.get(key, key[3]) for key in table[list(keys)].itertuples(index=False, name=None)]
    return [{str(key): value for key, value in row.items()} for row in table.assign(label=named).to_dict("records")]


def as_data_uri(svg: str | Path) -> str:
    """An SVG file as a URI, so that it needs no file beside the report and shares no ids with other figures."""
    return "data:image/svg+xml;base64," + base64.b64encode(Path(svg).read_bytes()).decode()


def number(value: float | None, digits: int = 3) -> str:
    """A number for the reader; a dash if there is none."""
    return "–" if value is None or pd.isna(value) else f"{value:,.{digits}f}".replace("inf", "∞")
