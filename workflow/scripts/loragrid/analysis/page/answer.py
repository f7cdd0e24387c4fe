"""The answer, which the report gives first: the verdicts of the main question, on how much they rest, and what was done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from loragrid.analysis.columns import ASKED
from loragrid.analysis.contrasts.columns import EXPLORATORY
from loragrid.analysis.contrasts.verdicts import Verdict
from loragrid.analysis.findings import (
    counted_findings,
    headline,
    sample_type_findings,
    without_common_references,
)
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import BASELINE, EXTERNAL

MOST_SENTENCES = 8
"""How many verdicts of each kind, decided or open, are told in full at the top."""

MOST_FINDINGS = 3
"""More findings about sample types than this are counted, not told."""


MOST_STEPS = 6
"""How many pairs of sizes are told."""


def the_answer(
    contrasts: pd.DataFrame,
    summary: pd.DataFrame,
    models: pd.DataFrame,
    main: MainMetrics,
    bounds: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    """What the section about the answer says, beside warnings.

    Args:
        contrasts: `tables/contrasts.parquet`.
        summary: `tables/scores.parquet`.
        models: the axes of every model, as in a table of predictions.
        bounds: the least and largest value of metrics that have such.
    """
    findings = sample_type_findings(contrasts, main)
    metrics = main.names(dict.fromkeys(models["task"]))
    widths = [high - low for low, high in (bounds[name] for name in metrics if name in bounds)]
    return {
        "done": what_was_done(models, summary),
        "metrics": metrics,
        # No difference is larger than this, where all main metrics have bounds.
        "widest": max(widths) if widths and len(widths) == len(metrics) else math.inf,
        "headline": headline(contrasts, main),
        "declared": declared_verdicts(contrasts),
        "sample_types": findings,
        "sample_types_in_short": counted_findings(findings) if len(findings) > MOST_FINDINGS else [],
        "apart": without_common_references(summary),
        "sizes": size_steps(contrasts, main),
        "several_models": models.loc[~models["base_model"].isin([BASELINE, EXTERNAL]), "base_model"].nunique() > 1,
    }


def size_steps(contrasts: pd.DataFrame, main: MainMetrics) -> list[dict[str, Any]]:
    """What more training examples bring: for each two sizes that are compared on single tasks, how many comparisons have each
    verdict. The smallest sizes come first.
    """
    rows = main.rows(contrasts)
    is_step = (rows["axis"] == "nb_samples") & (rows["kind"] == "difference") & (rows["tasks"].fillna("") == "")
    steps = []
    for (other, own), group in rows[is_step].groupby(["other", "own"], sort=False):
        counts = group["verdict"].value_counts()
        told = {verdict.value: int(counts.get(verdict, 0)) for verdict in Verdict}
        sizes = {"other": int(str(other)), "own": int(str(own))}
        steps.append({**sizes, "number": len(group), "too_little": int(counts.get("", 0)), **told})
    return sorted(steps, key=lambda step: (step["other"], step["own"]))[:MOST_STEPS]


def what_was_done(models: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Any]:
    """How much there is: trainings and kinds of them, base models, tasks, ways of asking, and test questions of a data set."""
    trained = models.dropna(subset="trained_task").drop_duplicates(["base_model", "run"])
    asked = models[~models["base_model"].isin([BASELINE, EXTERNAL])]
    kinds = trained.assign(kind=trained["run"].str.replace(r"__seed\d+$", "", regex=True)).drop_duplicates(["base_model", "kind"])
    # People rate a part of the answers.
    questions = summary.groupby(["task", "sample_type"])["n"].max()
    return {
        "trainings": len(trained),
        "kinds": len(kinds),
        "seeds": int(trained["seed"].nunique()),
        "base_models": int(asked["base_model"].nunique()),
        "tasks": int(models["task"].nunique()),
        "ways_of_asking": len(asked[ASKED].drop_duplicates()),
        "questions": (int(questions.min()), int(questions.max())) if len(questions) else (0, 0),
    }


def declared_verdicts(contrasts: pd.DataFrame) -> list[dict[str, Any]]:
    """Each declared family: how many contrasts have each verdict, at what level intervals hold, and the verdicts in sentences.

    `decided` are told at once, `open` on demand; those that are told in neither are counted in `more`.
    """
    order = {verdict.value: place for place, verdict in enumerate(Verdict)}
    declared = contrasts[contrasts["family"] != EXPLORATORY]
    families = []
    for family, rows in declared.groupby("family", sort=False):
        placed = rows.assign(place=rows["verdict"].map(order).fillna(len(order))).sort_values("place", kind="stable")
        is_open = placed["verdict"].isin(["", Verdict.UNDECIDED])
        of_kinds = {"decided": placed[~is_open], "open": placed[is_open]}
        told = {name: of[["verdict", "sentence"]].head(MOST_SENTENCES).to_dict("records") for name, of in of_kinds.items()}
        counts = rows["verdict"].value_counts()
        families.append(
            {
                "family": str(family),
                "number": len(rows),
                "level": float(rows["level"].iloc[0]),
                "counts": {verdict: int(counts.get(verdict, 0)) for verdict in (*order, "")},
                **told,
                "more": len(rows) - sum(map(len, told.values())),
            }
        )
    return families
