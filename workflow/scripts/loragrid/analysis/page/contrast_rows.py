"""The page's table of comparisons: each says in words what is compared."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from loragrid.analysis.columns import ASKED
from loragrid.analysis.contrasts.columns import EXPLORATORY, TRAINED
from loragrid.analysis.contrasts.sentences import DIFFERING, NAMED, differing
from loragrid.analysis.labels import label_runs
from loragrid.analysis.page.tables import PageTable, page_table
from loragrid.analysis.page.words import Words
from loragrid.layout import BASELINE, EXTERNAL

MOST_CONTRASTS = 5000
"""How many contrasts that were not declared beforehand the page holds: those whose difference stands out most."""

FIRST = ["task", "sample_type", "compared", "metric_name", "difference", "verdict", "n", "seeds", "family", "mean", "other_mean"]
THEN = ["detectable", "needed_questions", "needed_seeds", "base_model", "differing"]


def contrasts_table(contrasts: pd.DataFrame) -> PageTable:
    """Declared contrasts, then the others, those that stand out most if there are very many."""
    is_declared = contrasts["family"] != EXPLORATORY
    size = (contrasts["difference"] / contrasts["standard_error"]).abs().fillna(0)
    others = size[~is_declared].sort_values(ascending=False, kind="stable").index[:MOST_CONTRASTS]
    kept = contrasts[is_declared | contrasts.index.isin(others)]
    rows = kept.assign(
        metric_name=kept["scorer"] + "/" + kept["metric"],
        label=common_labels(kept),
        compared=compared(kept),
        differing=[differing(axis) for axis in kept["axis"]],
    )
    rows = pd.concat([rows[is_declared.loc[rows.index]], rows[~is_declared.loc[rows.index]]])
    note = (
        "Differences of two ways in the same questions. Verdicts of a declared family hold together; the others are exploratory."
    )
    if len(kept) < len(contrasts):
        left = len(contrasts) - len(kept)
        note += f" {left:,} exploratory contrasts with smaller differences are in tables/contrasts.csv alone."
    words = {
        "compared": Words("what is compared", "text", "The difference is the first minus the second."),
        "differing": Words("differing in", tells_apart=True),
        "axis": Words("axis", "code", "The column in which both ways differ; training: fine-tuned against the base model."),
        "mean": Words("mean", "number", "Of the first way.", 3),
        "label": Words("in common", tells_apart=True),
    }
    return page_table("contrasts", "Comparisons", rows, [*FIRST, *THEN], note, words, {"difference": ("low", "high", "verdict")})


def compared(contrasts: pd.DataFrame) -> list[str]:
    """For each contrast what is compared, as a reader says it: what both sides have in common, and what each of them is."""
    several_models = contrasts.loc[~contrasts["base_model"].isin([BASELINE, EXTERNAL]), "base_model"].nunique() > 1
    told = []
    for label, row in zip(common_labels(contrasts), contrasts.to_dict("records"), strict=True):
        of_model = [row["base_model"]] if several_models and row["axis"] != "base_model" and pd.notna(row["base_model"]) else []
        over_tasks = f"mean over {row['tasks']}" if isinstance(row["tasks"], str) and row["tasks"] else ""
        common = "; ".join(filter(None, [over_tasks, ", ".join(filter(None, [*of_model, label]))]))
        # Answers from elsewhere have a name of their own, which is one side.
        is_said = row["axis"] == "training" and label == row["own"]
        told.append(_sides(row) if not common or is_said else f"{common}: {_sides(row)}")
    return told


def _sides(row: Mapping[Hashable, Any]) -> str:
    """Both sides of a contrast."""
    axis, own, other = row["axis"], row["own"], row["other"]
    if row["kind"] == "slope":
        return f"each doubling of the training examples ({other})"
    if row["kind"] == "interaction":
        axis, across = axis.split("*")
        (pair, at), (_, at_other) = (side.rsplit(" at ", 1) for side in (own, other))
        places = " against ".join(_value(across, value) for value in (at, at_other))
        return f"the gain in {DIFFERING.get(axis, axis)} ({pair}) with {places}"
    if axis == "training":
        return f"{'fine-tuned' if pd.notna(row['mix']) else own} against the base model"
    return f"{_value(axis, own)} against {_value(axis, other)}"


def _value(axis: str, value: str) -> str:
    return NAMED.get(axis, "{}").format(value)


def common_labels(contrasts: pd.DataFrame) -> list[str]:
    """For each contrast, what both of its ways have in common; for ways that were not trained, the first one's name."""
    axes = contrasts["axis"].str.split("*")
    blank = {
        name: contrasts[name].mask(axes.map(lambda axes, name=name: name in axes).astype(bool)) for name in (*TRAINED, *ASKED)
    }
    # A row over tasks, or over what runs were trained for, is about the task that it names.
    of_task = contrasts.assign(**blank | {"trained_task": blank["trained_task"].fillna(contrasts["task"])})
    is_trained = contrasts["mix"].notna().to_numpy()
    labels = iter(label_runs(of_task[is_trained].assign(run="", seed=0)))
    return [next(labels) if trained else str(way) for trained, way in zip(is_trained, contrasts["way"], strict=True)]
