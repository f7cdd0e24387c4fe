"""What stands where in the table of the study."""

import itertools
import random
from typing import get_args

import pytest

from loragrid.analysis.main_table.settings import Axis
from unit.analysis.main_table.way_tables import baseline, grid, parts, trained, way


def test_by_default_rows_are_what_varies_among_ways_and_columns_are_the_test_sets():
    [part] = parts(
        baseline(0.1),
        baseline(0.1, task="u"),
        way(0.2, base_model="external", way="people"),
        *(trained(size / 1000, nb_samples=size, config=config) for size in (128, 8, 16) for config in ("wide", "small")),
        trained(0.9, task="u", config="small"),
        way(0.3),
    )
    assert (part.row_axes, part.column_axes) == (("config", "nb_samples"), ("task",))
    assert part.columns == [("t",), ("u",)]
    assert grid(part) == [
        ["base model", "", "0.3", ""],
        ["wide", "8", "0.008", ""],
        ["wide", "16", "0.016", ""],
        ["wide", "128", "0.128", ""],
        ["small", "8", "0.008", "0.9"],
        ["small", "16", "0.016", ""],
        ["small", "128", "0.128", ""],
        ["people (made elsewhere)", "", "0.2", ""],
        ["first words (baseline)", "", "0.1", "0.1"],
    ]
    assert part.constant == {
        "base_model": "m",
        "trained_sample_type": "s",
        "mix": "only",
        "loss_computation": "full",
        "sample_type": "s",
        "prompting": "zero_shot",
        "prompt_variant": "default",
        "decoding": "greedy",
    }


@pytest.mark.parametrize("own", ["external", "m"])
def test_predictions_from_elsewhere_may_be_named_as_a_config_is(own):
    [part] = parts(way(0.1), trained(0.2), trained(0.3, config="dora"), way(0.4, base_model=own, way="dora"))
    assert grid(part) == [["base model", "0.1"], ["lora", "0.2"], ["dora", "0.3"], ["dora (made elsewhere)", "0.4"]]


def test_each_base_model_stands_before_its_runs():
    [part] = parts(
        *(row(mean, base_model=name) for name, mean in (("m", 0.1), ("big", 0.2)) for row in (trained, way)), baseline(0)
    )
    assert part.row_axes == ("base_model", "way")
    assert grid(part) == [
        ["m", "base model", "0.1"],
        ["m", "fine-tuned", "0.1"],
        ["big", "base model", "0.2"],
        ["big", "fine-tuned", "0.2"],
        ["–", "first words (baseline)", "0"],
    ]


def test_several_base_models_as_columns_all_have_the_baseline_beside_them():
    [part] = parts(
        *(row(mean, base_model=name) for name, mean in (("m", 0.1), ("big", 0.2)) for row in (trained, way)),
        baseline(0),
        columns=["base_model"],
    )
    assert part.columns == [("m",), ("big",)]
    assert grid(part) == [
        ["base model", "0.1", "0.2"],
        ["fine-tuned", "0.1", "0.2"],
        ["first words (baseline)", "0", "0"],
    ]


def test_what_varies_and_is_named_nowhere_divides_the_table_and_base_models_stand_in_each_part():
    both = parts(
        way(0.1),
        *(trained(size / 100, nb_samples=size, config=config) for size in (16, 8) for config in ("a", "b")),
        rows=["config"],
    )
    assert [part.fixed for part in both] == [{"nb_samples": "8"}, {"nb_samples": "16"}]
    assert [grid(part) for part in both] == [
        [["base model", "0.1"], ["a", "0.08"], ["b", "0.08"]],
        [["base model", "0.1"], ["a", "0.16"], ["b", "0.16"]],
    ]


def test_where_only_columns_tell_what_is_trained_base_models_and_baselines_are_columns():
    [part] = parts(
        *(
            row
            for name, mean in (("m", 0.1), ("big", 0.2))
            for row in (
                way(mean, base_model=name),
                trained(mean + 0.5, base_model=name, config="a"),
                trained(0.9, base_model=name),
            )
        ),
        baseline(0),
        rows=["base_model"],
        columns=["config"],
    )
    assert part.columns == [("base model",), ("a",), ("lora",), ("first words (baseline)",)]
    assert grid(part) == [["m", "0.1", "0.6", "0.9", "0"], ["big", "0.2", "0.7", "0.9", "0"]]


def test_ways_of_asking_are_rows_and_a_baseline_which_is_not_asked_has_its_own():
    [part] = parts(way(0.1), way(0.2, prompting="three"), trained(0.3), trained(0.4, prompting="three"), baseline(0))
    assert part.row_axes == ("prompting", "way")
    assert grid(part) == [
        ["–", "first words (baseline)", "0"],
        ["zero_shot", "base model", "0.1"],
        ["zero_shot", "fine-tuned", "0.3"],
        ["three", "base model", "0.2"],
        ["three", "fine-tuned", "0.4"],
    ]


def test_the_task_of_training_is_a_row_only_where_runs_are_tested_on_others():
    own = [trained(0.1), trained(0.2, task="u")]
    [part] = parts(way(0), way(0, task="u"), *own)
    assert part.row_axes == ("way",)
    [part] = parts(way(0), way(0, task="u"), *own, trained(0.3, task="u", trained_task="t"))
    assert part.row_axes == ("trained_task",)
    assert grid(part) == [["base model", "0", "0"], ["t", "0.1", "0.3"], ["u", "", "0.2"]]


def test_by_default_the_metric_is_the_main_one_and_the_first_of_test_sets_without_it():
    rows = [way(0.1, metric=metric) for metric in ("y", "x")] + [way(0.2, task="u", metric=metric) for metric in ("z", "y")]
    assert [list(part.lower_is_better) for part in parts(*rows)] == [["r/x"], ["r/z"]]
    assert [list(part.lower_is_better) for part in parts(*rows, metrics=["r/y", "r/z", "r/gone"])] == [["r/y"], ["r/z"]]


def test_of_one_test_set_all_metrics_are_columns_the_main_one_first():
    [part] = parts(way(0.1, metric="y"), way(0.2, metric="x"), trained(0.3, metric="x"))
    assert part.columns == [("r/x",), ("r/y",)]
    assert grid(part) == [["base model", "0.2", "0.1"], ["fine-tuned", "0.3", ""]]


def test_metrics_can_be_rows():
    [part] = parts(way(0.1), way(0.2, metric="y"), trained(0.3), rows=["metric"], columns=["task"])
    assert part.row_axes == ("metric", "way")
    assert grid(part) == [["r/x", "base model", "0.1"], ["r/x", "fine-tuned", "0.3"], ["r/y", "base model", "0.2"]]


def test_without_results_there_is_no_part():
    assert parts(way(0.1)) != []
    assert parts(way(0.1), metrics=["r/other"]) == []


@pytest.mark.parametrize("seed", range(40))
def test_wherever_axes_stand_each_result_has_a_place_of_its_own(seed):
    rng = random.Random(seed)
    values = {"task": "tu", "base_model": "mn", "nb_samples": [8, 16], "config": "ab", "prompting": ["zero_shot", "three"]}
    rows = [baseline(0.5, task=task) for task in "tu"]
    mean = itertools.count(1)
    for combination in itertools.product(*values.values()):
        axes = dict(zip(values, combination, strict=True))
        if rng.random() < 0.6:
            rows.append(trained(next(mean), **axes))
        if axes["nb_samples"] == 8 and axes["config"] == "a" and rng.random() < 0.6:
            axes = {axis: value for axis, value in axes.items() if axis not in ("nb_samples", "config")}
            rows.append(way(next(mean), **axes))
    named = rng.sample(get_args(Axis), rng.randrange(6))
    cut = rng.randrange(len(named) + 1)
    table = {name: axes for name, axes in (("rows", named[:cut]), ("columns", named[cut:])) if axes or rng.random() < 0.5}
    shown = {cell.mean for part in parts(*rows, **table) for cell in part.cells.values()}
    assert shown == {row["mean"] for row in rows}
