import pytest

from loragrid.analysis.figures.transfer import transfer_difference_rows, transfer_score_rows
from loragrid.analysis.main_metrics import MainMetrics
from unit.analysis.grids import base, run, tables

MAIN = MainMetrics("r/x", {"u": "r/y"})


def around(mean):
    return [mean - 0.01, mean + 0.01, mean] * 4


RESULTS = [
    # In u, less is better.
    (base(task="t"), around(0.2), "r/x"),
    (base(task="u"), around(0.6), "r/y"),
    (run(task="t", own="t"), around(0.8), "r/x"),
    (run(task="u", own="t"), around(0.7), "r/y"),
    (run(task="t", own="u"), around(0.1), "r/x"),
    (run(task="u", own="u"), around(0.1), "r/y"),
    # Tested at home only.
    (run(task="t", own="t", config="d"), around(0.9), "r/x"),
]


@pytest.fixture(scope="module")
def found():
    return tables(*RESULTS, task_metrics={"u": "r/y"}, lower=["y"])


def test_a_line_is_a_way_that_is_tested_elsewhere_too_or_a_base_model(found):
    rows = transfer_score_rows(found[0], MAIN)
    assert rows["label"].drop_duplicates().tolist() == ["base", "t/s: n=8", "u/s: n=8"]
    assert set(rows["tested_on"]) == {"t/s · r/x", "u/s · r/y"}


def test_the_best_of_a_column_is_1_and_the_worst_0_whichever_way_is_better(found):
    rows = transfer_score_rows(found[0], MAIN)
    places = {(row["label"], row["task"]): round(row["place"], 3) for row in rows.to_dict("records")}
    assert places == {
        ("base", "t"): 0.143,
        ("t/s: n=8", "t"): 1.0,
        ("u/s: n=8", "t"): 0.0,
        ("base", "u"): 0.167,
        ("t/s: n=8", "u"): 0.0,
        ("u/s: n=8", "u"): 1.0,
    }


def test_shares_are_gains_relative_to_the_largest_difference_in_the_metric(found):
    rows = transfer_difference_rows(found[1], MAIN)
    shares = {
        (row["label"], row["task"]): (round(row["difference"], 3), round(row["share"], 3)) for row in rows.to_dict("records")
    }
    assert shares == {
        ("t/s: n=8", "t"): (0.6, 1.0),
        ("t/s: n=8", "u"): (0.1, -0.2),
        ("u/s: n=8", "t"): (-0.1, -0.167),
        ("u/s: n=8", "u"): (-0.5, 1.0),
    }
    assert set(rows["verdict"]) <= {"better", "worse", "equivalent", "undecided"}


def test_a_grid_without_tests_on_other_tasks_has_no_map():
    ways, contrasts = tables((base(), around(0.2)), (run(), around(0.5)))
    assert transfer_score_rows(ways, MAIN).empty
    assert transfer_difference_rows(contrasts, MAIN).empty
