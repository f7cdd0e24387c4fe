"""Each task in its own main metric."""

import pandas as pd

from loragrid.analysis.findings import headline, strong_baselines
from loragrid.analysis.main_metrics import MainMetrics
from unit.analysis.grids import base, only, run, tables
from unit.analysis.main_table.way_tables import grid, parts, trained, way

MAIN = MainMetrics("r/x", {"u": "e/y"})
CLEAR = [0.8, 0.9, 0.7, 0.85] * 4


def two_metrics(**more):
    """A run on each of two tasks, better by CLEAR, the second task in a metric of its own. Task t has that metric too."""
    results = [(base(task="t"), [0.0] * 16), (run(task="t"), CLEAR)]
    results += [(base(task="t"), [0.1] * 16, "e/y"), (run(task="t"), CLEAR, "e/y")]
    results += [(base(task="u"), [0.0] * 16, "e/y"), (run(task="u"), CLEAR, "e/y")]
    return tables(*results, task_metrics={"u": "e/y"}, **more)


def test_rows_are_those_in_the_main_metric_of_their_task():
    rows = [("t", "", "r", "x"), ("t", "", "e", "y"), ("u", "", "e", "y"), ("u", "", "r", "x")]
    rows += [("", "t, v", "r", "x"), ("", "t, u", "r", "x"), ("", "u", "e", "y")]
    table = pd.DataFrame(rows, columns=["task", "tasks", "scorer", "metric"])
    assert list(MAIN.rows(table).index) == [0, 2, 4, 6]
    assert list(MAIN.rows(table.drop(columns="tasks").head(4)).index) == [0, 2]
    assert list(MAIN.rows(table.head(0)).columns) == list(table.columns)


def test_every_task_is_in_the_main_family_and_in_the_headline_in_its_own_metric():
    _, contrasts = two_metrics()
    family = only(contrasts, family="main")
    assert list(zip(family["task"], family["scorer"], strict=True)) == [("t", "r"), ("u", "e")]
    [found] = headline(contrasts, MAIN)
    assert (found["kinds"], found["better"], found["datasets"]) == (2, 2, 2)


def test_no_mean_is_formed_over_tasks_of_different_main_metrics():
    _, contrasts = two_metrics()
    assert set(contrasts["tasks"]) == {""}
    # With one metric there is one.
    one, other = [0.0] * 16, CLEAR
    same = [(base(task=t), one) for t in "tu"] + [(run(task=t), other) for t in "tu"]
    assert "t, u" in set(tables(*same)[1]["tasks"])


def test_a_comparison_without_metrics_is_made_in_the_main_metric_of_each_task():
    _, contrasts = two_metrics(comparisons=[{"axis": "training"}])
    assert list(zip(contrasts["task"], contrasts["scorer"], strict=True)) == [("t", "r"), ("u", "e")]


def test_table_of_the_study_shows_each_task_in_its_own_metric():
    in_both = {"scorer": "e", "metric": "y"}
    rows = [way(0.1), trained(0.2), way(0.3, **in_both), trained(0.4, **in_both)]
    rows += [way(0.5, task="u", **in_both), trained(0.6, task="u", **in_both), way(0.7, task="u"), trained(0.8, task="u")]
    first, second = parts(*rows, task_metrics={"u": "e/y"})
    assert (first.fixed["metric"], grid(first)) == ("r/x", [["base model", "0.1"], ["fine-tuned", "0.2"]])
    assert (second.fixed["metric"], grid(second)) == ("e/y", [["base model", "0.5"], ["fine-tuned", "0.6"]])


def test_baselines_are_held_against_models_in_the_metric_of_the_task():
    def row(name, task, scorer, metric, mean, base_model="m"):
        return base(base_model, task) | {"run": name, "scorer": scorer, "metric": metric, "mean": mean, "lower_is_better": False}

    rows = [row("base", "u", "e", "y", 0.2), row("copy", "u", "e", "y", 0.3, "baseline")]
    rows += [row("base", "u", "r", "x", 0.9), row("copy", "u", "r", "x", 0.1, "baseline")]
    [strong] = strong_baselines(pd.DataFrame(rows), MAIN)
    assert (strong["task"], strong["metric"], strong["mean"], strong["best_model"]) == ("u", "e/y", 0.3, 0.2)
