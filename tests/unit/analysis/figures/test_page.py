"""What the page gets is what the files of figures hold."""

import json

import pandas as pd
import pytest

from loragrid.analysis.figures.files import write_figures
from loragrid.analysis.figures.names import TITLES
from loragrid.analysis.page.figures import shown_figures
from loragrid.layout import ANALYSE


@pytest.fixture(scope="module")
def shown(figures, tmp_path_factory):
    files = ANALYSE.below(tmp_path_factory.mktemp("page"))
    write_figures(figures, files)
    return {figure["id"]: figure for figure in shown_figures(files)}


def test_values_on_the_page_are_those_of_the_figures(shown, figures):
    for name, figure in shown.items():
        for column, values in figures[name].rows.items():
            expected = [None if pd.isna(value) else value for value in values]
            assert figure["rows"][column] == expected, (name, column)


def test_figures_say_what_they_are_and_by_which_axes_they_can_be_filtered(shown):
    curves = shown["learning_curves"]
    assert curves["title"] == TITLES["learning_curves"]
    assert curves["axes"][:3] == ["base_model", "task", "sample_type"]
    assert {"config", "nb_samples", "prompting"} <= set(curves["axes"])
    assert "run" not in shown["tokens"]["axes"]
    assert "usermeta" not in curves["spec"]


def test_all_of_it_is_json_without_nan(shown):
    json.dumps(list(shown.values()), allow_nan=False)


def test_a_figure_without_rows_is_left_out(figures, tmp_path):
    files = ANALYSE.below(tmp_path)
    figure = figures["tokens"]
    write_figures({"tokens": figure._replace(rows=figure.rows.iloc[:0]), "run_times": figures["run_times"]}, files)
    there = {name: path for name, path in files.items() if path.exists()}
    assert [figure["id"] for figure in shown_figures(there)] == ["run_times"]


def test_names_that_look_like_numbers_or_like_nothing_stay_names(figures, tmp_path):
    figure, files = figures["tokens"], ANALYSE.below(tmp_path)
    write_figures({"tokens": figure._replace(rows=figure.rows.assign(base_model="3", config="null", prompting="=1"))}, files)
    [shown] = shown_figures({name: path for name, path in files.items() if path.exists()})
    assert [set(shown["rows"][name]) for name in ("base_model", "config", "prompting")] == [{"3"}, {"null"}, {"=1"}]
