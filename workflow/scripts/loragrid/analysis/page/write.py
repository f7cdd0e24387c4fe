"""The report: one HTML file that needs no network. Its numbers are the numbers of the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.findings import decided
from loragrid.analysis.labels import label_runs
from loragrid.analysis.page.answer import the_answer
from loragrid.analysis.page.answers import Sources, answer_parts
from loragrid.analysis.page.cautions import cautions_about_data, cautions_about_results
from loragrid.analysis.page.effort import unequal_effort
from loragrid.analysis.page.embedded import embed_answers
from loragrid.analysis.page.figures import shown_figures
from loragrid.analysis.page.modules import page_source
from loragrid.analysis.page.origins import checks_table, files_table, repeated
from loragrid.analysis.page.packed import packed
from loragrid.analysis.page.payload import models_in, payload_of, tables_of
from loragrid.analysis.page.plain_table import plain_table
from loragrid.analysis.page.rendering import rendered, section
from loragrid.analysis.page.state import missing_table, reasons
from loragrid.analysis.page.tables import payload_of_tables
from loragrid.analysis.page.used_settings import used_settings
from loragrid.analysis.provenance import (
    circumstances_of,
    common_questions,
    leaking_mixes,
    leaking_prompts,
    missing_answers,
    read_checks,
)
from loragrid.analysis.selection.shown import shown_choices
from loragrid.analysis.settings import AnalysisSettings, ReportContents
from loragrid.analysis.table_files import read_parquet_table
from loragrid.runtime.files import written_whole
from loragrid.runtime.job import log

Paths = Sequence[str | Path]


class GridFiles(NamedTuple):
    """What the report reads besides tables and figures."""

    scores: Paths
    tests: Paths
    """Test sets."""
    checks: Paths
    """Outcomes of the generation checks."""
    trainings: Paths
    """Manifests of trainings."""
    manifests: Paths
    """Of trainings and predictions."""
    leaks: Paths
    """For each data set, the file that lists which of its examples are in a test set."""
    mixes: Paths
    """Training and validation parts of the mixes."""
    demonstrations: Paths


def write_report(
    path: str | Path,
    contents: ReportContents,
    settings: AnalysisSettings,
    state: Sequence[Mapping[str, Any]],
    tables: Mapping[str, str | Path],
    files: GridFiles,
) -> None:
    """Write the page, and the answers beside it if they are to be there.

    Args:
        state: as `grid_state` gives it.
        tables: tables and figures, by the names in `layout.ANALYSE` and `layout.DESCRIBE_DATA`.
    """
    models = models_in(tables["predictions"])
    labels = dict(zip(models[MODEL].itertuples(index=False, name=None), label_runs(models), strict=True))
    checks = read_checks(files.checks)
    page_tables = tables_of(tables, models, labels, settings.main, files.trainings, settings.config_of) | payload_of_tables(
        [checks_table(checks), missing_table(state), files_table(models, labels)]
    )
    sources = Sources(tables["predictions"], files.scores, files.tests)
    most = contents.examples if contents.embed == "sample" else None
    parts = answer_parts(sources, settings.kinds, settings.main, most) if contents.embed != "none" else iter(())
    answers = embed_answers(parts, contents, Path(path))
    payload = packed(payload_of(contents, models, page_tables, shown_figures(tables), answers.payload))
    source = page_source()
    prose = _results(tables, models, settings) | _circumstances(files, state, checks, labels) | {"main": settings.main}
    prose |= {"answers_note": answers.payload["note"], "experiment": contents.experiment, "state": state}
    prose["has_answers"] = contents.embed != "none"
    prose["used_settings"] = used_settings(files.manifests, contents.scorers)
    html = rendered(
        title=contents.title,
        experiment=contents.experiment,
        css=source.css,
        scripts=source.scripts,
        payload=payload,
        answers=answers.inline,
        plain_main=plain_table(page_tables["main"]) if "main" in page_tables else None,
        sections={id: section(id, prose) for id in SECTIONS},
    )
    with written_whole(path) as temporary:
        # Names and logs may hold halves of surrogate pairs, which have no form in a file.
        temporary.write_text(html, encoding="utf-8", errors="replace")
    log.info("%s has %.1f MB", path, len(html) / 1e6)


SECTIONS = (
    "answer",
    "results",
    "comparisons",
    "curves",
    "transfer",
    "answers",
    "slices",
    "scorers",
    "training",
    "costs",
    "data",
    "grid",
    "how",
)
"""The parts of the page, in its order."""


def _results(tables: Mapping[str, str | Path], models: pd.DataFrame, settings: AnalysisSettings) -> dict[str, Any]:
    """What the prose says about results."""
    ways, contrasts, summary, agreement = (
        read_parquet_table(tables[f"{name}_parquet"]) for name in ("ways", "contrasts", "scores", "judge_agreement")
    )
    main = settings.main
    thoughts = pd.read_parquet(tables["predictions"], columns=[*models.columns, "prediction", "thoughts"])
    return {
        "answer": the_answer(contrasts, summary, models, main, settings.bounds),
        "conclusions": decided(contrasts, main),
        "choices": shown_choices(read_parquet_table(tables["selection_parquet"]), main.default),
        "cautions_about_results": [
            *cautions_about_results(ways, contrasts, summary, thoughts, agreement, main),
            *unequal_effort(ways, settings.config_of),
        ],
    }


def _circumstances(
    files: GridFiles,
    state: Sequence[Mapping[str, Any]],
    checks: Sequence[Mapping[str, Any]],
    labels: Mapping[tuple[str, ...], str],
) -> dict[str, Any]:
    """What the prose says about how the results came about."""
    leaking = leaking_mixes(files.leaks, files.mixes)
    showing = leaking_prompts(files.leaks, files.demonstrations)
    missing = missing_answers(files.manifests)
    return {
        "cautions_about_data": list(cautions_about_data(state, leaking, showing, missing, checks)),
        "common": common_questions([path for path in files.mixes if Path(path).name == "train.jsonl"]),
        "reasons": reasons(state),
        "checks": checks,
        "checks_failed": sum(passed is False for check in checks for passed in check["checks"].values()),
        "again": repeated(files.scores, labels),
        "circumstances": circumstances_of(files.manifests),
    }
