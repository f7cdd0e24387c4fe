"""What a figure is, and how one with a panel for each data set is put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import altair as alt
import pandas as pd

from loragrid.analysis.figures.theme import RANGES

ROWS = alt.NamedData("rows")
"""The data of every chart: the page puts those rows there that its filters leave."""

MOST_PANELS, MOST_ROWS = 24, 60
"""So many panels, and so many lines of text in one panel, are drawn at most; the rest is in the data."""

PANELS_ABREAST = 3


class Figure(NamedTuple):
    """A figure and what it shows."""

    spec: dict[str, Any]
    """Of Vega-Lite 6, without data: it names them `rows`. It has the colours of data, but none of paper and ink."""
    rows: pd.DataFrame
    """Columns named as in `analysis/columns.py` are axes; where one has no value, the row belongs to every value of it."""
    note: str = ""
    """What is said below the caption about these rows."""


AnyChart = TypeVar("AnyChart", alt.Chart, alt.LayerChart)


def figure_of(chart: alt.Chart | alt.LayerChart | alt.FacetChart, rows: pd.DataFrame, note: str = "") -> Figure:
    """A figure from a chart of `ROWS`, with at most `MOST_PANELS` panels."""
    spec = chart.to_dict()
    transforms: list[dict[str, Any]] = []
    if "facet" in spec:
        # A filter may leave out the first panels: then later ones are drawn.
        rank = {"window": [{"op": "dense_rank", "as": "panel_place"}], "sort": [{"field": "panel_order"}]}
        transforms = [rank, {"filter": f"datum.panel_place <= {MOST_PANELS}"}]
    spec |= {"data": {"name": "rows"}, "config": {"range": RANGES}} | ({"transform": transforms} if transforms else {})
    return Figure(spec, rows.reset_index(drop=True), note)


def in_panels(
    chart: alt.Chart | alt.LayerChart, independent: Sequence[str] = (), columns: int = PANELS_ABREAST
) -> alt.FacetChart:
    """A panel for each value of the column `panel`, in the order of the rows.

    Args:
        independent: the axes, x and y, of which each panel has its own.
    """
    # One below the other, panels have room for names that are longer than they are wide.
    limit = 330 if columns > 1 else 600
    header = alt.Header(title=None, labelLimit=limit, labelFontWeight="bold", labelAnchor="start", labelPadding=4)
    faceted = chart.facet(
        facet=alt.Facet("panel:N", sort=alt.EncodingSortField("panel_order", op="min"), header=header), columns=columns
    )
    return faceted.resolve_scale(**dict.fromkeys(independent, "independent"))


def first_rows(chart: AnyChart, order: str, descending: bool = False, by: str | None = "panel") -> AnyChart:
    """The chart with the first `MOST_ROWS` values of a column of numbers in each panel; equal values stay together.

    Args:
        by: the column of panels; None if there is one.
    """
    in_order = [alt.SortField(order, order="descending" if descending else "ascending")]
    # Inside of a facet, Vega-Lite 6.4 fails on a window without groups.
    rank = [alt.WindowFieldDef(op="dense_rank", **{"as": "nth"})]
    ranked = chart.transform_window(rank, sort=in_order, groupby=[by] if by else [])
    return ranked.transform_filter(f"datum.nth <= {MOST_ROWS}")


def has_one_metric(rows: pd.DataFrame) -> bool:
    """Whether all rows are about the same metric, so that panels can share an axis."""
    return bool(rows["metric"].nunique() <= 1)


def with_panels(rows: pd.DataFrame, names: Sequence[str] | None = None) -> pd.DataFrame:
    """The rows with `panel`, a name for each evaluated data set, and `panel_order`, its number in order of appearance.

    A panel names its metric if not all are about the same one.
    """
    panels = pd.Series(panel_names(rows) if names is None else list(names), index=rows.index, dtype=object)
    if names is None and not has_one_metric(rows):
        panels = panels + " · " + rows["metric"]
    return rows.assign(panel=panels, panel_order=pd.factorize(panels)[0] if len(rows) else pd.Series(dtype=int))


def panel_names(rows: pd.DataFrame) -> list[str]:
    """The evaluated data set of each row, as a reader calls it."""
    pairs = zip(rows["task"], rows["sample_type"], strict=True)
    return [f"{task}, references: {sample_type}" for task, sample_type in pairs]


def panels_note(rows: pd.DataFrame, line: str | None = None) -> str:
    """A sentence about what is too much to be drawn; empty if all is.

    Args:
        line: the column whose values are lines of text in a panel.
    """
    panels = rows["panel"].nunique()
    lines = int(rows.groupby("panel")[line].nunique().max()) if line and len(rows) else 0
    parts = [f"{MOST_PANELS} of {panels} panels"] if panels > MOST_PANELS else []
    parts += [f"{MOST_ROWS} of {lines} rows in a panel"] if lines > MOST_ROWS else []
    return f"At most {' and '.join(parts)} are drawn; the file of data has all, and filters bring others." if parts else ""
