import pandas as pd

from loragrid.analysis.figures import learning_curves


def row(task, run, trained, n, mean, references="s"):
    asked = {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    trained_on = {"trained_task": trained, "trained_sample_type": "s" if trained else None, "nb_samples": n}
    setup = {"mix": "m", "config": "c", "loss_computation": "full"} if trained else {}
    of = {"base_model": "b", "task": task, "sample_type": references, "run": run, "scorer": "r", "metric": "x"}
    return of | asked | trained_on | setup | {"mean": mean, "standard_error": 0.1}


def test_learning_curves_show_runs_on_the_task_that_they_were_trained_for_and_nothing_else():
    table = pd.DataFrame(
        [
            row("own", "base", None, None, 0.1),
            row("foreign", "base", None, None, 0.2),
            row("own", "one", "own", 8, 0.3),
            row("foreign", "one", "own", 8, 0.4),
            row("own", "two", "elsewhere", 64, 0.5),
            row("own", "predictions-made-elsewhere", None, None, 0.6),
            row("foreign", "predictions-made-elsewhere", None, None, 0.7),
        ]
    ).astype({"nb_samples": "Int64"})
    [axis] = [axis for axis in learning_curves(table, "r/x").axes if axis.get_visible()]
    assert axis.get_title() == "own, references: s"
    [line] = [line for line in axis.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 8], [0.1, 0.3])
    assert list(axis.get_xticks()) == [0, 8]


def test_learning_curves_tell_what_runs_were_trained_on_if_that_is_not_what_they_are_tested_on():
    results = [("base", None, None, 0.1), ("one", "own", 8, 0.3), ("two", "own", 8, 0.2)]
    table = pd.DataFrame([row("own", *result, references="experts") for result in results]).astype({"nb_samples": "Int64"})
    table.loc[table["run"] == "one", "trained_sample_type"] = "experts"
    figure = learning_curves(table, "r/x")
    [axis] = [axis for axis in figure.axes if axis.get_visible()]
    assert axis.get_title() == "own, references: experts"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trained on experts", "trained on s"]
    curves = [list(line.get_ydata()) for line in axis.lines if len(line.get_xdata()) == 2 and line.get_linestyle() == "-"]
    assert curves == [[0.1, 0.3], [0.1, 0.2]]
