"""The results so far in a terminal: what is missing, the table of the study, and the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from textwrap import fill
from typing import Any

import pandas as pd

from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.questions import read_questions
from loragrid.analysis.contrasts.tables import compare_ways
from loragrid.analysis.contrasts.verdicts import Verdict
from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.main_table.parts import Part, parts_of
from loragrid.analysis.main_table.terminal import as_text
from loragrid.analysis.present_files import Damaged, present, without_damaged
from loragrid.analysis.reading import of_split, read_predictions, read_scores
from loragrid.analysis.related_rows import refuse_unrelated_rows
from loragrid.analysis.settings import SummarySettings
from loragrid.errors import printable
from loragrid.layout import TEST, Evaluation
from loragrid.runtime.commands import command

MOST_SENTENCES = 12
"""How many verdicts of a family are told in full: the decided ones first."""

NO_VERDICT = "too little data"
"""In the place of a verdict."""


def summary(settings: SummarySettings, width: int, bold: bool) -> str:
    """What is missing, the table of the study and the verdicts, from the existing files of the grid. Damaged files are left out.

    Args:
        width: of the terminal, in characters.
        bold: whether the terminal shows bold letters.

    Raises:
        DamagedError: if files are still damaged after many times.
    """
    return without_damaged(settings.tiers, partial(_summary, settings, width, bold))


def _summary(settings: SummarySettings, width: int, bold: bool, damaged: Damaged) -> str:
    tiers, facts = settings.tiers, settings.settings
    # What ways are chosen by is no result.
    predictions = of_split(present(tiers["predictions"], ".jsonl", damaged), TEST, Evaluation.of_predictions)
    scores = of_split(present(tiers["scores"], ".jsonl", damaged), TEST, Evaluation.of_scores)
    tests = present(tiers["datasets"], "test.jsonl", damaged)
    lines = [fill(printable(settings.report.title), width), *_missing(grid_state(tiers, damaged), width)]
    parts: Sequence[Part] = ()
    verdicts: list[str] = []
    if scores:
        prediction_table, score_table = read_predictions(predictions), read_scores(scores)
        refuse_unrelated_rows(prediction_table, score_table, scores, tests, facts.kinds)
        ways, contrasts = compare_ways(score_table, prediction_table, read_questions(tests, facts.cluster_by), facts)
        parts, verdicts = parts_of(ways, facts.table, facts.main), list(told_verdicts(contrasts, width, settings.tables))
    table = as_text(parts, width, bold, f"{settings.tables}/main.md") if parts else "There are no results yet."
    return "\n\n".join(block for block in ("\n".join(lines), table, "\n".join(verdicts)) if block)


def _missing(state: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    """How many files of each kind are there, if some are not."""
    lacking = [f"{tier['tier']} {tier['present']:,} of {tier['expected']:,}" for tier in state if tier["missing"]]
    if lacking:
        yield fill(f"Not complete: {', '.join(lacking)}. {command('partial_report')} says why.", width)


def told_verdicts(contrasts: pd.DataFrame, width: int, tables: str) -> Iterator[str]:
    """The verdicts of each declared family, each in a sentence; of the other contrasts only how many there are.

    Args:
        contrasts: as `tables/contrasts.csv`.
        tables: the folder of the tables.
    """
    order = {verdict: place for place, verdict in enumerate([*Verdict, ""])}
    verdict = contrasts["verdict"].fillna("").astype(str)
    contrasts = contrasts.assign(verdict=verdict, place=verdict.map(order)).sort_values("place", kind="stable")
    declared = contrasts[contrasts["family"] != EXPLORATORY]
    for family, rows in declared.groupby("family", sort=False):
        counts = Counter(rows["verdict"])
        counted = ", ".join(f"{counts[name]:,} {name or NO_VERDICT}" for name in order if name in counts)
        yield fill(f"Verdicts that hold together ({family}): {counted}.", width)
        for sentence in rows["sentence"].head(MOST_SENTENCES):
            yield fill(printable(str(sentence)), width, initial_indent="  ", subsequent_indent="    ")
        if len(rows) > MOST_SENTENCES:
            yield f"  {len(rows) - MOST_SENTENCES:,} more: {tables}/contrasts.csv"
        yield ""
    if others := len(contrasts) - len(declared):
        said = f"Exploratory contrasts, which were not declared beforehand: {others:,}, in {tables}/contrasts.csv."
        yield fill(said, width)
