"""Which ways are compared: those that differ in one thing only."""

import pandas as pd
import pytest

from loragrid.analysis.contrasts import asked
from loragrid.analysis.contrasts.asked import wanted_contrasts
from loragrid.analysis.contrasts.pairs import differences, interactions, slopes
from loragrid.analysis.contrasts.settings import Comparison
from loragrid.analysis.contrasts.ways import ways_of
from unit.analysis.grids import MAIN, base, run


def ways(*axes):
    return list(ways_of(pd.DataFrame(axes).astype({"nb_samples": "Int64", "seed": "Int64"})))


def pairs(found):
    return [(one.own, one.other) for one in found]


@pytest.mark.parametrize(
    ("axis", "first", "second"),
    [
        ("config", run(config="a"), run(config="b")),
        ("mix", run(mix="a"), run(mix="b")),
        ("loss_computation", run(loss="a"), run(loss="b")),
        ("trained_sample_type", run(trained_on="a", references="a"), run(trained_on="b", references="a")),
        ("trained_task", run(task="t", own="a"), run(task="t", own="b")),
        ("base_model", run(model="a"), run(model="b")),
        ("base_model", base(model="a"), base(model="b")),
        ("prompting", run(prompting="a"), run(prompting="b")),
        ("prompt_variant", base(prompt_variant="a"), base(prompt_variant="b")),
        ("decoding", run(decoding="a"), run(decoding="b")),
    ],
)
def test_ways_that_differ_in_one_axis_are_compared_along_it_and_no_other(axis, first, second):
    both = ways(first, second)
    assert pairs(differences(both, axis)) == [("b", "a")]
    for other in {"config", "mix", "base_model", "prompting", "nb_samples", "trained_sample_type"} - {axis}:
        assert pairs(differences(both, other)) == []


def test_ways_that_differ_in_two_axes_are_not_compared():
    assert pairs(differences(ways(run(config="a", mix="a"), run(config="b", mix="b")), "config")) == []


def test_seeds_belong_to_one_way_and_one_run_asked_two_ways_is_no_pair_of_trainings():
    one = ways(run(seed=1), run(seed=2), run(seed=1, prompting="shots"), base(), base(prompting="shots"))
    assert len(one) == 4
    wanted = wanted_contrasts(one, None, MAIN, 1)
    assert sorted((w.contrast.axis, w.contrast.first.prompting) for w in wanted) == [
        ("prompting", "shots"),
        ("prompting", "shots"),
        ("training", "shots"),
        ("training", "zero_shot"),
    ]


def test_sizes_are_ordered_as_numbers_and_by_default_follow_each_other():
    sizes = ways(run(n=128), run(n=8), run(n=16))
    assert pairs(differences(sizes, "nb_samples", neighbours=True)) == [("16", "8"), ("128", "16")]
    assert pairs(differences(sizes, "nb_samples")) == [("16", "8"), ("128", "8"), ("128", "16")]


def test_slope_is_that_of_the_line_of_least_squares_over_doublings():
    [slope] = slopes(ways(run(n=8), run(n=32), run(n=64)))
    means = {8: 0.1, 32: 0.4, 64: 0.2}
    value = sum(w * means[way.nb_samples] for w, way in slope.plus) - sum(w * means[way.nb_samples] for w, way in slope.minus)
    # By hand: x = 3, 5, 6, their mean 14/3; the sum of their products with the means over the sum of their squares.
    assert value == pytest.approx((-5 / 3 * 0.1 + 1 / 3 * 0.4 + 4 / 3 * 0.2) / (25 / 9 + 1 / 9 + 16 / 9))
    assert list(slopes(ways(run(n=8), run(n=32)))) == []


def test_interaction_is_the_difference_of_differences_where_all_four_exist():
    four = [run(config=config, mix=mix) for config in "ab" for mix in "xy"]
    [one] = interactions(ways(*four), "config", "mix")
    assert (one.axis, one.own, one.other) == ("config*mix", "b - a at y", "b - a at x")
    assert {(way.config, way.mix): weight for weight, way in one.plus} == {("b", "y"): 1, ("a", "y"): -1}
    assert {(way.config, way.mix): weight for weight, way in one.minus} == {("b", "x"): 1, ("a", "x"): -1}
    assert list(interactions(ways(*four[:3]), "config", "mix")) == []


def test_sample_types_without_common_references_are_tested_each_on_its_own():
    apart = ways(run(trained_on="a", references="a"), run(trained_on="b", references="b"))
    [one] = differences(apart, "trained_sample_type")
    assert (one.first.sample_type, one.minus[0][1].sample_type) == ("b", "a")
    together = ways(*(run(trained_on=own, references=of) for own in "ab" for of in "ab"))
    assert [one.first.sample_type for one in differences(together, "trained_sample_type")] == ["a", "b"]


def test_what_is_asked_for_is_made_and_nothing_else():
    grid = ways(base(), *(run(config=config, mix=mix) for config in "abc" for mix in "xy"))
    asked_for = [Comparison(axis="config", against="a", where={"mix": "x"}), Comparison(axis="training", exploratory=True)]
    found = wanted_contrasts(grid, asked_for, MAIN, 1)
    assert [(w.contrast.axis, w.contrast.own, w.contrast.first.mix, w.family) for w in found[:2]] == [
        ("config", "b", "x", "main"),
        ("config", "c", "x", "main"),
    ]
    assert [w.family for w in found[2:]] == ["exploratory"] * 6
    [only] = wanted_contrasts(grid, [Comparison(axis="config", values=["c", "a"], where={"mix": ["y"]})], MAIN, 1)
    assert (only.contrast.own, only.contrast.other) == ("a", "c")


def test_main_family_by_default_is_each_kind_of_run_on_its_own_task_against_its_base_model():
    grid = ways(base(), base(task="u"), run(config="a"), run(config="b"), run(task="u", own="t", config="a"))
    main = [w.contrast for w in wanted_contrasts(grid, None, MAIN, 1) if w.family == "main"]
    assert [(one.axis, one.first.task, one.first.config) for one in main] == [("training", "t", "a"), ("training", "t", "b")]


def test_large_grids_have_pairs_in_the_main_metric_only(monkeypatch):
    grid = ways(*(run(config=str(i)) for i in range(4)))
    assert {w.metrics for w in wanted_contrasts(grid, None, MAIN, 5)} == {None}
    monkeypatch.setattr(asked, "MOST_ROWS", 29)
    assert {w.metrics for w in wanted_contrasts(grid, None, MAIN, 5)} == {("r/x",)}


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_asked_for_twice_is_made_once_in_the_declared_family(order):
    grid = ways(base(), base(task="u"), run(), run(task="u"))
    twice = [
        Comparison(axis="training", exploratory=True, metrics=["r/x", "r/y"]),
        Comparison(axis="training", over_tasks=True),
        Comparison(axis="training", where={"task": "t"}),
    ]
    found = wanted_contrasts(grid, twice[::order], MAIN, 2)
    assert {(w.contrast.first.task, *w.metrics): (w.family, w.over_tasks) for w in found} == {
        ("t", "r/x"): ("main", "main"),
        ("u", "r/x"): ("exploratory", "main"),
        ("t", "r/y"): ("exploratory", None),
        ("u", "r/y"): ("exploratory", None),
    }
    assert len(found) == 4
