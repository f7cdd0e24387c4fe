"""Learning curves: means over the number of training examples."""

from __future__ import annotations

import altair as alt
import pandas as pd

from loragrid.analysis.columns import ASKED
from loragrid.analysis.comparisons import on_own_task, tests_foreign_sample_types
from loragrid.analysis.figures.figure import ROWS, Figure, figure_of, has_one_metric, in_panels, panels_note, with_panels
from loragrid.analysis.figures.names import NB_SAMPLES, mean_title
from loragrid.analysis.figures.ways import WAY_AXES, distinct, metric_names
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.layout import BASE

CURVE, LINE_OF_BASE, LINE_OF_BASELINE = "fine-tuned", "base model", "best trivial baseline"
"""What a row is about."""

COLUMNS = [*WAY_AXES, "metric", "kind", "label", "mean", "low", "high", "n", "seeds"]

WIDTH, HEIGHT = 250, 190


def learning_rows(ways: pd.DataFrame, main: MainMetrics) -> pd.DataFrame:
    """A point for each way on its own task, its base model at 0 examples, and the best trivial baseline of each data set.

    Each curve has a point of its base model, asked alike, with the curve's axes. Data sets without trained ways are left out.
    """
    rows = main.rows(ways).assign(metric=metric_names)
    trained = rows[on_own_task(rows)]
    if trained.empty:
        return with_panels(pd.DataFrame(columns=COLUMNS))
    curves = with_curves(trained)
    points = [curves.assign(kind=CURVE), bases_of(curves, rows[rows["way"] == BASE]), baselines_of(curves)]
    found = pd.concat(points, ignore_index=True)[COLUMNS]
    order = {dataset: place for place, dataset in enumerate(distinct_datasets(curves))}
    places = [order[dataset] for dataset in found[["task", "sample_type"]].itertuples(index=False, name=None)]
    return with_panels(found.iloc[pd.Series(places).sort_values(kind="stable").index])


def distinct_datasets(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The evaluated data sets, in order of appearance."""
    return list(dict.fromkeys(table[["task", "sample_type"]].itertuples(index=False, name=None)))


def with_curves(trained: pd.DataFrame) -> pd.DataFrame:
    """The ways with a `label` of the curve that each is a point of: it names in what curves differ."""
    texts = {"base_model": "{}", "mix": "{}", "config": "{}", "loss_computation": "{} loss", **dict.fromkeys(ASKED, "{}")}
    # Where all are tested on the sample type that they were trained on, the panel's title names it.
    if tests_foreign_sample_types(trained):
        texts["trained_sample_type"] = "trained on {}"
    varying = [name for name in texts if trained[name].nunique() > 1] or ["mix", "config"]
    names = [", ".join(texts[name].format(row[name]) for name in varying) for row in trained[varying].to_dict("records")]
    return trained.assign(label=names)


def bases_of(curves: pd.DataFrame, bases: pd.DataFrame) -> pd.DataFrame:
    """A point of the base model for each curve, at 0 examples."""
    asked = ["base_model", "task", "sample_type", *ASKED]
    figures = ["mean", "low", "high", "n", "seeds"]
    of_curve = curves.drop_duplicates(["task", "sample_type", "label"]).drop(columns=figures)
    found = of_curve.merge(bases[[*asked, *figures]], on=asked)
    return found.assign(kind=LINE_OF_BASE, nb_samples=pd.array([0] * len(found), dtype="Int64"))


def baselines_of(curves: pd.DataFrame) -> pd.DataFrame:
    """The best trivial baseline of each data set."""
    best = curves.dropna(subset="baseline").drop_duplicates(["task", "sample_type"])
    return pd.DataFrame(
        {
            **{name: best[name] for name in ("task", "sample_type", "metric")},
            "kind": LINE_OF_BASELINE,
            "label": best["baseline"].str.replace("_", " ") + " (baseline)",
            "mean": best["baseline_mean"],
        }
    ).reindex(columns=COLUMNS)


def learning_curves(ways: pd.DataFrame, main: MainMetrics) -> Figure:
    """Means over a logarithmic number of examples; base model and best baseline are lines."""
    rows = learning_rows(ways, main)
    sizes = sorted({int(n) for n in rows.loc[rows["kind"] == CURVE, "nb_samples"] if n > 0})
    x = alt.X("nb_samples:Q", title=NB_SAMPLES, scale=alt.Scale(type="log", base=2, nice=False), axis=_ticks(sizes))
    drawn = "datum.kind == 'fine-tuned' && datum.nb_samples > 0"
    base = alt.Chart().transform_filter("datum.kind == 'base model'").mark_rule(strokeDash=[5, 3], opacity=0.8)
    return _figure(rows, [base.encode(y=_y(rows), color=_colour())], x, drawn)


def learning_curves_symlog(ways: pd.DataFrame, main: MainMetrics) -> Figure:
    """Means over the number of examples, from the base model at 0 on; the best baseline is a line."""
    rows = learning_rows(ways, main)
    sizes = sorted({int(n) for n in rows.loc[rows["kind"] == CURVE, "nb_samples"]} | {0}) if len(rows) else [0]
    smallest = min((n for n in sizes if n), default=1)
    x = alt.X("nb_samples:Q", title=f"{NB_SAMPLES} (0: base model)", scale=_symlog(smallest), axis=_ticks(sizes))
    return _figure(rows, [], x, "datum.kind != 'best trivial baseline'")


def _symlog(constant: int) -> alt.Scale:
    """Linear up to about a constant, logarithmic beyond."""
    return alt.Scale(type="symlog", constant=constant, nice=False)


def _ticks(sizes: list[int]) -> alt.Axis:
    return alt.Axis(values=sizes, labelOverlap=True, format="~d", grid=False)


def _y(rows: pd.DataFrame) -> alt.Y:
    return alt.Y("mean:Q", title=mean_title(distinct(rows["metric"])), scale=alt.Scale(zero=False))


def _colour() -> alt.Color:
    return alt.Color(
        "label:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=3, symbolOpacity=1, symbolStrokeWidth=2.5)
    )


def _figure(rows: pd.DataFrame, before: list[alt.Chart], x: alt.X, drawn: str) -> Figure:
    points = alt.Chart().transform_filter(drawn)
    # Baselines are told apart by their dots: they would take colours from the curves.
    dots = alt.Chart().transform_filter("datum.kind == 'best trivial baseline'").mark_rule(strokeDash=[1, 3], strokeWidth=1.5)
    tooltip = [alt.Tooltip("label:N", title="curve"), alt.Tooltip("kind:N"), alt.Tooltip("nb_samples:Q", title=NB_SAMPLES)]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("mean", "low", "high")]
    tooltip += [alt.Tooltip("n:Q", title="test questions"), alt.Tooltip("seeds:Q", title="training seeds")]
    layers = [
        points.mark_area(opacity=0.12).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), _colour()),
        *before,
        dots.encode(y=_y(rows), tooltip=[*tooltip[:2], alt.Tooltip("mean:Q", format=".4~g")]),
        points.mark_rule(opacity=0.5).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), _colour()),
        points.mark_line(strokeWidth=1.6).encode(x, _y(rows), _colour()),
        points.mark_point(filled=True, size=40, opacity=1).encode(
            x, _y(rows), _colour(), alt.Shape("label:N", title=None, sort=None, legend=None), tooltip=tooltip
        ),
    ]
    chart = alt.layer(*layers, data=ROWS).properties(width=WIDTH, height=HEIGHT)
    independent = ["x"] if has_one_metric(rows) else ["x", "y"]
    return figure_of(in_panels(chart, independent), rows, panels_note(rows))
