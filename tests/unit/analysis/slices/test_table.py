"""Results on slices of the test questions."""

import numpy as np
import pytest

from loragrid.analysis.slices.divisions import Division
from loragrid.analysis.slices.table import SLICES, slice_ways
from loragrid.analysis.statistics.against_rest import against_rest
from loragrid.analysis.statistics.results import Results
from unit.analysis.grids import base, measured, only, run

HALVES = {("t", "s"): [Division("metadata", "topic", ["a", "b"], {str(i): "a" if i < 8 else "b" for i in range(16)})]}


def sliced(*results, divisions=HALVES, **more):
    ways, of_grid, predictions, main = measured(*results, **more)
    return slice_ways(ways, of_grid, divisions, predictions, main)


def test_a_slice_has_the_mean_of_its_questions_and_the_difference_from_the_rest():
    values = [0.1, 0.3] * 4 + [0.5, 0.9] * 4
    table = sliced((base(), values))
    assert list(table.columns) == SLICES
    of_a, of_b = table.to_dict("records")
    assert [of_a[name] for name in ("way", "by", "key", "slice", "place", "n", "clusters")] == [
        "base",
        "metadata",
        "topic",
        "a",
        0,
        8,
        8,
    ]
    assert (of_a["mean"], of_a["rest_mean"], of_a["difference"]) == pytest.approx((0.2, 0.7, -0.5))
    assert (of_b["mean"], of_b["difference"]) == pytest.approx((0.7, 0.5))
    assert of_a["low"] < 0.2 < of_a["high"]
    assert of_a["difference_low"] < -0.5 < of_a["difference_high"] < 0


def test_the_worst_slice_of_a_way_is_marked_where_chance_does_not_explain_it():
    clear, chance = [0.1, 0.2] * 4 + [0.8, 0.9] * 4, [0.4, 0.6] * 8
    table = sliced((base(), clear), (run(config="c"), chance))
    assert [(row["way"], row["slice"]) for row in table[table["worst"]].to_dict("records")] == [("base", "a")]
    # Less is better: then the other slice is the worst.
    worst = sliced((base(), clear), lower=["x"])
    assert list(worst.loc[worst["worst"], "slice"]) == ["b"]


def test_many_slices_without_a_difference_are_not_marked():
    rng, marked, below, repetitions = np.random.default_rng(2), 0, 0, 12
    for _ in range(repetitions):
        topics = [{str(i): "ab"[int(rng.random() < 0.5)] for i in range(30)} for _ in range(8)]
        named = {("t", "s"): [Division("metadata", f"k{k}", ["a", "b"], topic) for k, topic in enumerate(topics)]}
        table = sliced((base(), list(rng.random(30))), (run(), list(rng.random(30))), divisions=named)
        marked += table["worst"].any()
        below += (table["p_value"] < 0.05).any()
    assert marked <= 2
    # Without heeding how many there are, most would be.
    assert below > 2


def test_answers_that_were_cut_off_are_a_slice_of_their_own_for_each_way():
    table = sliced((base(), [0.0] * 4 + [1.0, 0.8, 0.9] * 4), divisions={}, cut_off=("0", "1", "2", "3"))
    assert [(row["by"], row["slice"], row["n"], row["mean"]) for row in table.to_dict("records")] == [
        ("cut off", "cut off", 4, 0.0),
        ("cut off", "whole", 12, pytest.approx(0.9)),
    ]
    assert sliced((base(), [0.5, 0.6]), divisions={}).empty


def test_with_several_seeds_a_slice_is_the_mean_over_them():
    one, other = [0.2, 0.4] * 4 + [0.6] * 8, [0.4, 0.6] * 4 + [0.8] * 8
    row = only(sliced((run(seed=1), one), (run(seed=2), other)), slice="a").to_dict("records")[0]
    assert (row["mean"], row["rest_mean"], row["seeds"]) == (pytest.approx(0.4), pytest.approx(0.7), 2)


def test_each_task_is_sliced_in_its_own_main_metric_and_without_baselines():
    results = [(base(), [0.5] * 16), (base(task="u"), [0.3] * 16), (base(task="u"), [0.9, 0.7] * 8, "e/y")]
    results += [(base("baseline"), [0.5] * 16)]
    both = HALVES | {("u", "s"): HALVES["t", "s"]}
    table = sliced(*results, divisions=both, task_metrics={"u": "e/y"})
    assert {(row["task"], row["base_model"], row["scorer"]) for row in table.to_dict("records")} == {
        ("t", "m", "r"),
        ("u", "m", "e"),
    }


def of_values(values, clusters=None):
    return Results(np.atleast_2d(values), np.arange(np.shape(values)[-1]) if clusters is None else clusters)


def compared(values, inside, clusters=None):
    clusters = np.arange(len(values)) if clusters is None else clusters
    return against_rest(
        of_values(values[inside], clusters[inside]), of_values(values[~inside], clusters[~inside]), of_values(values, clusters)
    )


def test_the_difference_from_the_rest_is_welchs_where_spreads_are_ordinary():
    from scipy.stats import ttest_ind

    values = np.random.default_rng(1).normal(size=60)
    inside = np.arange(60) < 20
    # Equal means, so that the score test asks for no larger error.
    values[inside] *= 3
    values[inside] -= values[inside].mean()
    values[~inside] -= values[~inside].mean() - 0.3
    found = compared(values, inside)
    welch = ttest_ind(values[inside], values[~inside], equal_var=False)
    assert found.value == pytest.approx(-0.3)
    assert found.p_value == pytest.approx(welch.pvalue, rel=0.02)


def test_a_few_answers_that_are_all_right_are_not_sure_to_be_better():
    values = np.array([1.0] * 4 + [0.0, 1.0] * 48)
    assert compared(values, np.arange(100) < 4).p_value > 0.05


def test_a_slice_of_one_question_is_too_little_data():
    found = compared(np.array([0.0, 0.5, 0.7, 0.9]), np.arange(4) < 1)
    assert np.isnan(found.p_value)


@pytest.mark.parametrize("size", [3, 10, 40])
@pytest.mark.parametrize("kind", ["right", "skewed"])
def test_differences_from_the_rest_are_false_alarms_in_at_most_one_of_twenty(size, kind):
    rng, alarms, repetitions = np.random.default_rng(4), 0, 400
    for _ in range(repetitions):
        values = (rng.random(80) < 0.7).astype(float) if kind == "right" else rng.beta(0.5, 4.5, 80)
        alarms += compared(values, np.arange(80) < size).p_value < 0.05
    # Twice the simulation's error is 0.022.
    assert alarms / repetitions <= 0.075


def test_clusters_count_once_in_the_difference_from_the_rest():
    values, inside = np.repeat(np.random.default_rng(6).random(20), 5), np.arange(100) < 40
    apart, together = compared(values, inside), compared(values, inside, np.arange(100) // 5)
    assert together.standard_error > 2 * apart.standard_error
