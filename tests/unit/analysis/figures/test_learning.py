import pandas as pd

from loragrid.analysis.figures.learning import learning_curves, learning_curves_symlog, learning_rows
from loragrid.analysis.main_metrics import MainMetrics
from unit.analysis.grids import MAIN, base, run, tables

LOW, MIDDLE, HIGH = [0.1, 0.2, 0.3, 0.2], [0.4, 0.5, 0.6, 0.5], [0.7, 0.8, 0.9, 0.8]


def rows(*results, main=MAIN, **told):
    return learning_rows(tables(*results, **told)[0], main)


def points(table, kind):
    own = table[table["kind"] == kind]
    return list(zip(own["panel"], own["label"], own["nb_samples"], own["mean"].round(3), strict=True))


def test_a_curve_has_the_means_of_ways_on_their_own_task_and_begins_with_the_base_model():
    shown = rows(
        (base(), LOW),
        (run(n=8), MIDDLE),
        (run(n=16), HIGH),
        # Tested on another task than trained for.
        (base(task="u"), LOW),
        (run(n=8, task="u", own="t"), MIDDLE),
    )
    assert points(shown, "fine-tuned") == [("t, references: s", "x, c", 8, 0.5), ("t, references: s", "x, c", 16, 0.8)]
    assert points(shown, "base model") == [("t, references: s", "x, c", 0, 0.2)]


def test_seeds_are_one_point_with_an_interval():
    [point] = rows((base(), LOW), (run(seed=1), MIDDLE), (run(seed=2), HIGH)).query("kind == 'fine-tuned'").to_dict("records")
    assert (round(point["mean"], 3), point["seeds"], point["low"] < 0.65 < point["high"]) == (0.65, 2, True)


def test_a_curve_is_named_by_what_curves_differ_in():
    shown = rows((base(), LOW), (run(config="a"), MIDDLE), (run(config="b"), HIGH))
    assert [point[1] for point in points(shown, "fine-tuned")] == ["a", "b"]
    both = rows((base(references="u"), LOW), *((run(references="u", trained_on=type_), HIGH) for type_ in ("s", "u")))
    assert [point[:2] for point in points(both, "fine-tuned")] == [("t, references: u", f"trained on {type_}") for type_ in "su"]


def test_each_panel_is_about_the_main_metric_of_its_task_and_names_it():
    results = [
        (one, LOW if one["run"] == "base" else HIGH, metric)
        for metric in ("r/x", "r/y")
        for task in "tu"
        for one in (base(task=task), run(task=task))
    ]
    shown = rows(*results, main=MainMetrics("r/x", {"u": "r/y"}), task_metrics={"u": "r/y"})
    assert list(dict.fromkeys(shown["panel"])) == ["t, references: s · r/x", "u, references: s · r/y"]


def test_the_best_baseline_stands_beside_every_filter():
    shown = rows((base(), LOW), (run(), HIGH), (base("baseline") | {"run": "copy_input"}, MIDDLE))
    [line] = shown[shown["kind"] == "best trivial baseline"].to_dict("records")
    assert (line["label"], round(line["mean"], 3)) == ("copy input (baseline)", 0.5)
    assert all(pd.isna(line[axis]) for axis in ("base_model", "config", "nb_samples", "prompting"))


def test_the_logarithmic_axis_has_no_zero_and_the_other_has_it():
    ways = tables((base(), LOW), (run(n=8), MIDDLE), (run(n=16), HIGH))[0]
    for figure, kind, ticks in ((learning_curves, "log", [8, 16]), (learning_curves_symlog, "symlog", [0, 8, 16])):
        axes = [layer["encoding"]["x"] for layer in figure(ways, MAIN).spec["spec"]["layer"] if "x" in layer["encoding"]]
        assert {(axis["scale"]["type"], tuple(axis["axis"]["values"])) for axis in axes} == {(kind, tuple(ticks))}


def test_without_trained_ways_there_is_no_curve():
    assert rows((base(), LOW)).empty
