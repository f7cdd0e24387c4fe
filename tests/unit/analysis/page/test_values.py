"""What the page shows are the numbers of the tables' files, cell by cell."""

import csv
import math

import pytest

from loragrid.analysis.columns import METRIC
from loragrid.layout import ANALYSE, DESCRIBE_DATA
from report_pages import payload_of, rows_of

FILES = {
    "results": "ways",
    "runs": "scores",
    "contrasts": "contrasts",
    "scorers": "scorers",
    "equal_length": "equal_length",
    "training": "training_costs",
    "prediction_costs": "prediction_costs",
    "scoring_costs": "scoring_costs",
    "ranks": "ranks",
    "slices": "slices",
    "lengths": "lengths",
}
"""The page's tables that are files, by their ids."""

CALLED_OTHERWISE = {"training": {"sample_type": "trained_sample_type"}}

WITH_JOINED_NAMES = {"slices"}
"""Tables with a metric's name as `scorer/metric` alone."""

LEFT_OUT = {
    "scorers": lambda row: row["coefficient"] != "kendall",
    "equal_length": lambda row: row["slope"] == "",
}
"""Rows that the page leaves to the file, and says so."""


@pytest.fixture(scope="module")
def payload(grid, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    grid.write_page(path)
    return payload_of(path.read_text(encoding="utf-8"))


def same(shown, text):
    """Whether a cell of the page is what a CSV file says."""
    if shown is None:
        return text in ("", "inf", "-inf")
    if isinstance(shown, bool):
        return str(shown) == text
    if shown in ("worst", ""):
        return text in ({"worst": ("True", "worst"), "": ("False", "")}[shown])
    return float(text) == shown if isinstance(shown, int | float) else text == shown


@pytest.mark.parametrize("table", FILES)
def test_every_cell_is_that_of_the_file(payload, grid, table):
    name = FILES[table]
    assert name in ANALYSE.outputs or name in DESCRIBE_DATA.outputs
    with open(grid.outputs[name], encoding="utf-8", newline="") as file:
        expected = [row for row in csv.DictReader(file) if not LEFT_OUT.get(table, lambda row: False)(row)]
    if table in WITH_JOINED_NAMES:
        expected = [
            {"metric_name": f"{row['scorer']}/{row['metric']}"} | {name: text for name, text in row.items() if name not in METRIC}
            for row in expected
        ]
    assert (table in payload["tables"]) == bool(expected)
    if expected:
        shown = rows_of(payload, table)
        names = {column: CALLED_OTHERWISE.get(table, {}).get(column, column) for column in expected[0]}
        assert set(names.values()) <= set(shown[0])
        # The page may have another order.
        left = [tuple(row.values()) for row in expected]
        for row in shown:
            own = next(
                cells for cells in left if all(same(row[key], cell) for key, cell in zip(names.values(), cells, strict=True))
            )
            left.remove(own)
        assert not left


def test_numbers_without_a_form_in_json_are_empty(payload):
    cells = [cell for table in payload["tables"].values() for values in table["rows"].values() for cell in values]
    assert all(math.isfinite(cell) for cell in cells if isinstance(cell, float))
    assert {type(cell) for cell in cells} <= {str, int, float, bool, type(None), list}


def test_columns_of_a_table_are_all_there_and_name_their_intervals(payload):
    for table in payload["tables"].values():
        keys = [column["key"] for column in table["columns"]]
        assert len(keys) == len(set(keys))
        for column in table["columns"]:
            needed = {column["key"], *(column[end] for end in ("low", "high", "verdict") if end in column)}
            assert needed <= table["rows"].keys()
            assert (column["kind"] == "estimate") == ("low" in column)
        assert len({len(values) for values in table["rows"].values()}) == 1
        assert any(not column.get("hidden") for column in table["columns"])


def test_rows_below_a_row_are_found_by_the_key_that_both_tables_have(payload):
    for table in payload["tables"].values():
        if table["unfold"]:
            inner = payload["tables"][table["unfold"]]
            assert set(table["key"]) <= table["rows"].keys() & inner["rows"].keys()
            of_rows, of_inner = (
                {tuple(row) for row in zip(*(of["rows"][name] for name in table["key"]), strict=True)} for of in (table, inner)
            )
            assert of_inner <= of_rows


def test_filters_are_the_axes_with_several_values_in_the_order_of_the_grid(payload):
    axes = {axis["key"]: axis["values"] for axis in payload["axes"]}
    assert axes["task"] == ["challenge", "outcome"]
    assert axes["nb_samples"] == [4, 16]
    assert not {"seed", "trained_task", "base_model", "config"} & axes.keys()
    for table in ("main", "results", "contrasts", "training"):
        if table in payload["tables"]:
            assert {"task", "nb_samples"} <= payload["tables"][table]["rows"].keys()


def test_figures_come_with_their_rows(payload):
    figures = {figure["id"]: figure for figure in payload["figures"]}
    assert {"learning_curves", "contrast_intervals", "loss_curves"} <= figures.keys()
    for figure in figures.values():
        assert set(figure["axes"]) <= figure["rows"].keys()


def test_the_same_grid_gives_the_same_bytes(grid, tmp_path, without_code):
    for name in ("a", "b"):
        grid.write_page(tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
