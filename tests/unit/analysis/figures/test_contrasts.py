import pytest

from loragrid.analysis.figures.contrasts import contrast_intervals, contrast_rows
from loragrid.analysis.figures.theme import VERDICTS
from unit.analysis.grids import MAIN, base, run, tables

LOW, HIGH = [0.1, 0.2, 0.3, 0.2] * 4, [0.7, 0.8, 0.9, 0.8] * 4


@pytest.fixture(scope="module")
def contrasts():
    results = [(base(task=task), LOW) for task in "tu"]
    results += [(run(task=task, n=n), [value - 0.01 * n for value in HIGH]) for task in "tu" for n in (4, 8)]
    return tables(*results)[1]


def test_rows_are_the_contrasts_of_the_table_with_their_intervals_and_verdicts(contrasts):
    rows = contrast_rows(contrasts, MAIN)
    assert len(rows) == len(contrasts)
    given = contrasts.set_index("sentence").loc[rows["sentence"]]
    for name in ("difference", "low", "high", "mean"):
        assert rows[name].tolist() == pytest.approx(given[name].tolist(), nan_ok=True)
    assert rows["verdict"].tolist() == given["verdict"].replace("", "too little data").tolist()
    assert set(rows["verdict"]) <= set(VERDICTS)


def test_declared_ones_come_first_and_the_largest_first_among_them(contrasts):
    rows = contrast_rows(contrasts, MAIN)
    families = rows["family"].tolist()
    assert families == sorted(families, key=lambda family: family == "exploratory")
    for _, panel in rows.groupby("panel"):
        assert panel["difference"].abs().tolist() == sorted(panel["difference"].abs(), reverse=True)


def test_a_label_says_what_is_compared_and_what_both_have_in_common(contrasts):
    rows = contrast_rows(contrasts, MAIN)
    assert {"n=4 – base model", "n=8 – base model", "number of training examples: 8 – 4"} <= set(rows["label"])
    panels = set(rows["panel"])
    assert "t, references: s · r/x · declared" in panels
    assert "mean over t, u · r/x · exploratory" in panels


def test_no_label_stands_twice_in_a_panel(contrasts):
    rows = contrast_rows(contrasts, MAIN)
    assert not rows.duplicated(["panel", "label"]).any()


def test_each_verdict_has_a_colour_and_a_shape_of_its_own(contrasts):
    [points] = [layer for layer in contrast_intervals(contrasts, MAIN).spec["spec"]["layer"] if "shape" in layer["encoding"]]
    for channel in ("color", "shape"):
        scale = points["encoding"][channel]["scale"]
        assert scale["domain"] == list(VERDICTS)
        assert len(set(scale["range"])) == len(VERDICTS)
