"""From the table of all ways to the parts of the table of the study, each with rows, columns and cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from loragrid.analysis.columns import METRIC
from loragrid.analysis.contrasts.columns import TRAINED
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.main_table.axes import DATA_AXES, Shape, axis_values, metric_names, names_untrained_in_rows, shape_of
from loragrid.analysis.main_table.cells import MISSING, Cell, Standing
from loragrid.analysis.main_table.settings import MainTable
from loragrid.layout import BASE, BASELINE

DataSet = tuple[str, str]
"""A task and a sample type."""


Key = tuple[str, ...]
"""The labels of a row or a column, one for each axis."""


WAY = "way"
"""Heading of the labels of ways where no axis of the rows tells what runs are trained on."""


FINE_TUNED = "fine-tuned"


class Part(NamedTuple):
    """A table of rows and columns."""

    fixed: Mapping[str, str]
    """What divides the table into parts: each axis and its value."""
    constant: Mapping[str, str]
    """Further axes with the same value in the whole table."""
    lower_is_better: Mapping[str, bool]
    """For each metric of the part whether less is better."""
    row_axes: Key
    column_axes: Key
    rows: list[Key]
    columns: list[Key]
    cells: Mapping[tuple[Key, Key], Cell]
    forgotten: Mapping[Key, float] = {}
    """By row: how much its trainings have forgotten, on average; only of rows of which it is known."""


class _Entry(NamedTuple):
    """A row of the table of ways."""

    values: Mapping[str, str | None]
    name: str | None
    """Of what is not trained here: a base model, predictions from elsewhere, a trivial baseline. None for a kind of run."""
    place: int
    """0: base model, 1: kind of run, 2: predictions from elsewhere, 3: trivial baseline."""
    cell: Cell
    lower_is_better: bool
    model: tuple[str, str]
    """Base model and way."""

    def fits(self, fixed: Mapping[str, str]) -> bool:
        """Whether it is of these values. What has no such axis stands beside all values."""
        return all(self.values[axis] in (None, value) for axis, value in fixed.items())


def parts_of(
    ways: pd.DataFrame, table: MainTable, main: MainMetrics, forgotten: Mapping[tuple[str, str], float] | None = None
) -> list[Part]:
    """The parts of the table of the study.

    A base model alone has no value on the axes of training, a trivial baseline none on that of base models: its result stands
    beside all of their values.

    Args:
        ways: as `tables/ways.csv`, with the column `standing` (`Standing`, or empty).
        main: the main metric of each task.
        forgotten: how much ways have forgotten of general language, by base model and way, where that is known.
    """
    names = metric_names(ways)
    shown = shown_metrics(ways.assign(shown=names), table.metrics, main)
    is_shown = [
        name in shown[task, sample_type] for task, sample_type, name in zip(ways["task"], ways["sample_type"], names, strict=True)
    ]
    ways = ways.loc[is_shown].reset_index(drop=True)
    if ways.empty:
        return []
    metrics = table.metrics or _in_order(shown, main.default)
    values = axis_values(ways)
    shape = shape_of(table, values)
    entries = [_entry(way, of_axes) for way, of_axes in zip(ways.to_dict("records"), values.to_dict("records"), strict=True)]
    there = {str(axis): list(of_axis.dropna()) for axis, of_axis in values.items()}
    order = {axis: _order(axis, found) for axis, found in there.items()} | {"metric": _places(metrics)}
    constant = {axis: found[0] for axis, found in there.items() if axis != "metric" and len(set(found)) == 1}
    divisions = [dict(zip(shape.parts, key, strict=True)) for key in _divisions(entries, shape.parts, order)]
    fixed = [{axis: value for axis, value in of.items() if value} for of in divisions]
    return [_part(of, entries, shape, order, constant, forgotten or {}) for of in fixed]


def shown_metrics(ways: pd.DataFrame, wanted: Sequence[str] | None, main: MainMetrics) -> dict[DataSet, list[str]]:
    """The metrics that are shown of each data set, in the table's order.

    By default a data set is shown in the main metric of its task, or in its first one if it lacks that; and where there is only
    one data set, in all of its metrics.

    Args:
        ways: with the name of each row's metric in `shown`.
        wanted: as the configuration names them; None: the default.
        main: the main metric of each task.
    """
    groups = ways.groupby(list(DATA_AXES), sort=False)["shown"]
    there = {(str(task), str(sample_type)): list(dict.fromkeys(names)) for (task, sample_type), names in groups}
    if wanted is not None:
        return {dataset: [name for name in wanted if name in names] for dataset, names in there.items()}
    first = {dataset: main.of(dataset[0]) if main.of(dataset[0]) in names else names[0] for dataset, names in there.items()}
    if len(there) == 1:
        return {dataset: list(dict.fromkeys([first[dataset], *names])) for dataset, names in there.items()}
    return {dataset: [name] for dataset, name in first.items()}


def _in_order(shown: Mapping[DataSet, Sequence[str]], main: str) -> list[str]:
    """All metrics of the table, the main one first."""
    found = [name for names in shown.values() for name in names]
    return sorted(dict.fromkeys(found), key=lambda name: name != main) if len(shown) > 1 else found


def _entry(way: Mapping[Any, Any], values: Mapping[Any, str | None]) -> _Entry:
    is_trained = not pd.isna(way["trained_task"])
    # As no value of an axis can be named: predictions from elsewhere may be called as a config is.
    name: str | None = f"{way['way']} (made elsewhere)"
    place = 2
    if way["base_model"] == BASELINE:
        name, place = f"{str(way['way']).replace('_', ' ')} (baseline)", 3
    elif way["way"] == BASE:
        name, place = "base model", 0
    elif is_trained:
        name, place = None, 1
    standing = way["standing"]
    n, clusters, seeds, nb_failed, nb_cut_off = (
        0 if pd.isna(way[count]) else int(way[count]) for count in ("n", "clusters", "seeds", "nb_failed", "nb_cut_off")
    )
    cell = Cell(
        metric="/".join(str(way[part]) for part in METRIC),
        mean=float(way["mean"]),
        low=float(way["low"]),
        high=float(way["high"]),
        n=n,
        clusters=clusters,
        seeds=seeds,
        nb_failed=nb_failed,
        nb_cut_off=nb_cut_off,
        standing=Standing(standing) if isinstance(standing, str) and standing else None,
        is_trained=is_trained,
    )
    return _Entry(values, name, place, cell, bool(way["lower_is_better"]), (str(way["base_model"]), str(way["way"])))


def _order(axis: str, values: Sequence[str]) -> dict[str, int]:
    """The place of each value: sizes by number, all else as it comes."""
    return _places(sorted(set(values), key=int) if axis == "nb_samples" else values)


def _places(values: Sequence[str]) -> dict[str, int]:
    return {value: place for place, value in enumerate(dict.fromkeys(values))}


def _divisions(entries: Sequence[_Entry], axes: Key, order: Mapping[str, Mapping[str, int]]) -> list[Key]:
    """The values of each part, in order."""
    keys = _combinations([tuple(entry.values[axis] for axis in axes) for entry in entries])
    return sorted(keys, key=lambda key: [order[axis].get(value, -1) for axis, value in zip(axes, key, strict=True)])


def _combinations(found: Sequence[tuple[str | None, ...]]) -> list[Key]:
    """The combinations of values that there are. One that lacks a value counts only if it belongs to no whole one."""
    whole = list(dict.fromkeys(key for key in found if None not in key))
    lacking = dict.fromkeys(key for key in found if None in key)
    alone = [key for key in lacking if not any(_belongs(key, other) for other in whole)]
    return [tuple(value or "" for value in key) for key in [*whole, *alone]]


def _belongs(values: Sequence[str | None], key: Sequence[str | None]) -> bool:
    return all(value in (None, other) for value, other in zip(values, key, strict=True))


def _part(
    fixed: Mapping[str, str],
    entries: Sequence[_Entry],
    shape: Shape,
    order: Mapping[str, Mapping[str, int]],
    constant: Mapping[str, str],
    forgotten: Mapping[tuple[str, str], float],
) -> Part:
    own = [entry for entry in entries if entry.fits(fixed)]
    in_rows = names_untrained_in_rows(shape)
    row_axes, column_axes = _row_axes(shape, own, in_rows), shape.columns
    rows, columns = _lines(own, row_axes, order, in_rows), _lines(own, column_axes, order, not in_rows)
    cells: dict[tuple[Key, Key], Cell] = {}
    known: dict[Key, dict[tuple[str, str], float]] = {}
    for entry in own:
        of_columns = _lines_of(entry, column_axes, columns, not in_rows)
        for place in product(_lines_of(entry, row_axes, rows, in_rows), of_columns):
            assert place not in cells, f"two results for {place}"
            cells[place] = entry.cell
            if entry.model in forgotten:
                known.setdefault(place[0], {})[entry.model] = forgotten[entry.model]
    named = {*row_axes, *column_axes, *fixed}
    return Part(
        fixed=fixed,
        constant={axis: value for axis, value in constant.items() if axis not in named},
        lower_is_better={entry.cell.metric: entry.lower_is_better for entry in own},
        row_axes=row_axes,
        column_axes=column_axes,
        rows=rows,
        columns=columns,
        cells=cells,
        forgotten={row: fmean(of_models.values()) for row, of_models in known.items()},
    )


def _row_axes(shape: Shape, own: Sequence[_Entry], in_rows: bool) -> Key:
    """The axes of the rows, with one for the names of ways where there are several and no other axis could hold them."""
    if not in_rows:
        return shape.rows or ("metric",)
    holds_names = any(axis in TRAINED for axis in shape.rows)
    return shape.rows if shape.rows and (holds_names or len({entry.name for entry in own}) == 1) else (*shape.rows, WAY)


def _lines(own: Sequence[_Entry], axes: Key, order: Mapping[str, Mapping[str, int]], named: bool) -> list[Key]:
    """The rows or columns of a part, in order.

    Args:
        named: whether what is not trained has its own; else it stands beside all of those whose values it does not have.
    """
    places: dict[Key, list[int]] = {}
    kept = None if named else set(_combinations([_values(entry, axes) for entry in own]))
    for entry in own:
        key = _labels(entry, axes, named)
        if kept is None or key in kept:
            places.setdefault(key, _place(entry, axes, order, named))
    return sorted(places, key=places.__getitem__)


def _lines_of(entry: _Entry, axes: Key, lines: Sequence[Key], named: bool) -> list[Key]:
    """The rows or columns in which a result stands."""
    if named:
        return [_labels(entry, axes, named)]
    return [line for line in lines if _belongs(_values(entry, axes), line)]


def _values(entry: _Entry, axes: Key) -> tuple[str | None, ...]:
    return tuple(entry.values.get(axis) for axis in axes)


def _labels(entry: _Entry, axes: Key, named: bool) -> Key:
    """The labels of a row or a column. The name of what is not trained stands at the first axis of training.

    In front of a name, an axis that the entry lacks has a dash: an empty label would look like that of the row above.
    """
    place = _name_place(axes) if named else None
    behind = axes.index(place) if place else 0
    return tuple(
        _name(entry) if axis == place and _is_named(entry, axis) else entry.values.get(axis) or (MISSING if at < behind else "")
        for at, axis in enumerate(axes)
    )


def _place(entry: _Entry, axes: Key, order: Mapping[str, Mapping[str, int]], named: bool) -> list[int]:
    """Where a row or column stands among others: a base model before its runs, what has no base model last."""
    last = 1_000_000
    name_place = _name_place(axes) if named else None
    places = []
    for axis in axes:
        value = entry.values.get(axis)
        if axis == name_place and _is_named(entry, axis):
            places.append(entry.place - 1 if entry.place < 2 else last + entry.place)
        elif value is None:
            places.append(last if axis == "base_model" else -1)
        else:
            places.append(order[axis][value])
    return places


def _name_place(axes: Key) -> str | None:
    """The axis that holds names."""
    return next((axis for axis in axes if axis in TRAINED or axis == WAY), None)


def _is_named(entry: _Entry, axis: str) -> bool:
    return entry.name is not None or axis == WAY


def _name(entry: _Entry) -> str:
    return entry.name or FINE_TUNED


def unlike(row: Key, above: Key) -> list[str]:
    """The labels of a row, without those in front that the row above has too."""
    same = 0
    while above and same < len(row) - 1 and row[same] == above[same]:
        same += 1
    return [""] * same + list(row[same:])
