"""How scorers go together: maps of rank correlations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import altair as alt
import numpy as np
import pandas as pd
from scipy.stats import rankdata

from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, in_panels, panels_note
from loragrid.analysis.figures.theme import ON_COLOUR, ON_PALE
from loragrid.analysis.figures.ways import WAY_AXES, metric_names
from loragrid.analysis.scorer_study.answers import Answered

COEFFICIENT = "spearman"
"""As in the study of Faysse et al. (2023), so that the maps can be compared with theirs."""

DRAWS, DRAWN, SEED = 1000, 10, 0
"""How often answers are drawn, how many at a time, and by which random numbers."""

PAIR = ["own", "other"]
DATA = ["task", "sample_type"]

CELL = 42


def correlation_rows(scorers: pd.DataFrame) -> pd.DataFrame:
    """The correlation of each two metrics in each scope, once for each order of the two.

    Args:
        scorers: the table `scorers`.
    """
    shown = scorers[(scorers["coefficient"] == COEFFICIENT) & (scorers["other_scorer"] != "")].dropna(subset="value")
    shown = shown.assign(own=metric_names, other=shown["other_scorer"] + "/" + shown["other_metric"])
    shown = _both_orders(shown[[*DATA, "scope", *PAIR, "value", "low", "high", "answers", "questions", "ways"]])
    panels = shown["task"] + ", " + shown["sample_type"] + " · " + shown["scope"]
    return _with_panels(shown, panels)


def resampled_rows(datasets: Sequence[Answered]) -> pd.DataFrame:
    """The mean correlation of each two metrics among ten answers drawn from all, without putting them back.

    The first figure of Faysse et al. (2023) draws so, and averages over the draws in which both metrics vary. `draws` is their
    number.
    """
    rows = [row for one in datasets for row in _resampled(one)]
    shown = _both_orders(pd.DataFrame(rows, columns=[*DATA, *PAIR, "value", "draws"]))
    return _with_panels(shown, shown["task"] + ", " + shown["sample_type"])


def _resampled(one: Answered) -> Iterator[tuple[object, ...]]:
    names = [f"{metric.scorer}/{metric.metric}" for metric in one.metrics]
    scores = one.scores[np.isfinite(one.scores).all(axis=1)]
    if len(scores) < DRAWN or len(names) < 2:
        return
    generator = np.random.default_rng(SEED)
    places = np.array([generator.choice(len(scores), DRAWN, replace=False) for _ in range(DRAWS)])
    # (draws, answers, metrics)
    ranks = rankdata(scores[places], axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    sizes = np.sqrt((ranks**2).sum(axis=1))
    for own, other in combinations(range(len(names)), 2):
        with np.errstate(invalid="ignore", divide="ignore"):
            values = (ranks[:, :, own] * ranks[:, :, other]).sum(axis=1) / (sizes[:, own] * sizes[:, other])
        varies = np.isfinite(values)
        if varies.any():
            yield one.task, one.sample_type, names[own], names[other], float(values[varies].mean()), int(varies.sum())


def by_way_rows(datasets: Sequence[Answered]) -> pd.DataFrame:
    """The correlation of each two metrics among the answers of each way; the figure shows the mean over ways."""
    rows = [row for one in datasets for row in _by_way(one)]
    shown = pd.DataFrame(rows, columns=[*WAY_AXES, *PAIR, "value", "answers"]).astype({"nb_samples": "Int64"})
    shown = _both_orders(shown)
    return _with_panels(shown, shown["task"] + ", " + shown["sample_type"])


def _by_way(one: Answered) -> Iterator[tuple[object, ...]]:
    names = [f"{metric.scorer}/{metric.metric}" for metric in one.metrics]
    for place, way in enumerate(one.all_ways):
        scores = one.scores[one.ways == place]
        axes = way._asdict()
        for own, other in combinations(range(len(names)), 2):
            pair = scores[:, [own, other]]
            known = pair[np.isfinite(pair).all(axis=1)]
            if len(known) > 2 and np.ptp(known, axis=0).all():
                value = float(np.corrcoef(rankdata(known, axis=0).T)[0, 1])
                yield *(axes[name] for name in WAY_AXES), names[own], names[other], value, len(known)


def _both_orders(rows: pd.DataFrame) -> pd.DataFrame:
    """Each pair of metrics in both orders, so that a map is whole."""
    swapped = rows.rename(columns={"own": "other", "other": "own"})
    return pd.concat([rows, swapped], ignore_index=True)


def _with_panels(rows: pd.DataFrame, panels: pd.Series) -> pd.DataFrame:
    order = pd.factorize(panels)[0] if len(rows) else pd.Series(dtype=int)
    return rows.assign(panel=panels, panel_order=order).sort_values("panel_order", kind="stable")


def correlation_map(rows: pd.DataFrame) -> Figure:
    """A map of metrics × metrics in each panel; the mean where several rows are about one cell."""
    axis = alt.Axis(labelLimit=160, grid=False, ticks=False, domain=False)
    x = alt.X("own:N", title=None, axis=alt.Axis(labelLimit=160, labelAngle=-40, grid=False, ticks=False, domain=False))
    mean = {"aggregate": "mean", "field": "value", "type": "quantitative"}
    scale = alt.Scale(domain=[-1, 0, 1], range="diverging")
    fill = alt.Color(**mean, title="correlation", scale=scale)
    tooltip = [alt.Tooltip("own:N", title="metric"), alt.Tooltip("other:N", title="and"), alt.Tooltip(**mean, format=".3f")]
    cells = alt.Chart().mark_rect().encode(fill)
    # The colour of words depends on the mean that is written there, so that it is computed beforehand.
    words = (
        alt.Chart()
        .transform_aggregate([alt.AggregatedFieldDef(op="mean", field="value", **{"as": "mean"})], groupby=PAIR)
        .mark_text(fontSize=9)
        .encode(
            alt.Text("mean:Q", format=".2f"),
            color=alt.condition("abs(datum.mean) > 0.6", alt.value(ON_COLOUR), alt.value(ON_PALE)),
        )
    )
    chart = alt.layer(cells.encode(tooltip=tooltip), words, data=ROWS).encode(x=x, y=alt.Y("other:N", title=None, axis=axis))
    sized = chart.properties(width=alt.Step(CELL), height=alt.Step(22))
    return figure_of(in_panels(sized), rows, panels_note(rows))
