"""Ranks of ways over tasks, and the ranks that they may have."""

import numpy as np
import pytest

from loragrid.analysis import ranks
from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.ways import Way
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.ranks import RANKS, rank_ways
from loragrid.analysis.statistics.all_pairs import differences
from loragrid.analysis.statistics.intervals import difference_of, p_value_at
from loragrid.analysis.statistics.results import Results
from unit.analysis.grids import base, measured, only, run

RNG = np.random.default_rng(3)
NOISE = RNG.normal(0, 0.02, (4, 3, 20))


def ranked(*results, **more):
    ways, of_grid, _, main = measured(*results, **more)
    return rank_ways(ways, of_grid, main)


def test_ranks_are_by_the_mean_over_tasks_where_they_share_a_metric():
    results = [(base(task=t), [0.1, 0.2] * 10) for t in "tu"]
    results += [(run(task="t", config="good"), [0.8, 0.9] * 10), (run(task="u", config="good"), [0.6, 0.7] * 10)]
    table = ranked(*results)
    assert list(table.columns) == RANKS
    assert list(table["rank"]) == [1, 2]
    assert list(zip(table["way"], table["config"].fillna(""), strict=True)) == [("", "good"), ("base", "")]
    assert list(table["mean"]) == pytest.approx([0.75, 0.15])
    assert set(table["tasks"]) == {"t, u"}
    assert (table["low"] < table["mean"]).all()
    # Every answer of the better way beats the other's.
    assert list(table["beaten"]) == [1.0, 0.0]
    assert (set(table["by"]), set(table["scorer"]), set(table["n"]), set(table["ways"])) == ({"mean"}, {"r"}, {40}, {2})


def three():
    """Three kinds of run on two tasks: a is clearly best on both, b and c differ by chance only."""
    of_a, of_b, of_c = ([value + shift for value in NOISE[place].ravel()[:40]] for place, shift in ((0, 0.9), (1, 0.5), (2, 0.5)))
    return [(run(task=t, config=name), values) for t in "tu" for name, values in zip("abc", (of_a, of_b, of_c), strict=True)]


def test_ranks_are_as_sure_as_the_differences():
    table = ranked(*three()).set_index("config")
    assert table.loc["a", ["rank", "best_rank", "worst_rank"]].tolist() == [1, 1, 1]
    for name in "bc":
        assert table.loc[name, ["best_rank", "worst_rank"]].tolist() == [2, 3]


def test_less_may_be_better():
    table = ranked(*three(), lower=["x"]).set_index("config")
    assert table.loc["a", ["rank", "best_rank", "worst_rank", "beaten"]].tolist() == [3, 3, 3, 0.0]


def test_tasks_of_different_metrics_have_ranks_and_no_mean():
    of_t, of_u = ([(axes, values) for axes, values in three() if axes["task"] == task] for task in "tu")
    results = [*of_t, *((axes, [1000 * value for value in values], "e/y") for axes, values in of_u)]
    table = ranked(*results, task_metrics={"u": "e/y"}).set_index("config")
    assert set(table["by"]) == {"answers"}
    assert table["mean"].isna().all()
    assert table["scorer"].isna().all()
    assert table.loc["a", ["rank", "best_rank", "worst_rank", "beaten"]].tolist() == [1, 1, 1, 1.0]
    assert table.loc[list("bc"), "beaten"].sum() == pytest.approx(0.5)


def test_answers_beaten_are_a_share_of_the_other_ways_and_ties_count_half():
    results = [(base(), [1.0, 0.0, 0.5]), (run(config="a"), [1.0, 1.0, 0.0])]
    # Of a way with two seeds, the share of its answers counts.
    results += [(run(config="b", seed=1), [0.0, 1.0, 0.0]), (run(config="b", seed=2), [1.0, 0.0, 1.0])]
    table = ranked(*results)
    found = dict(zip(table["config"].fillna("base"), table["beaten"], strict=True))
    of_base = [(0.5 + 0.75) / 2, (0.0 + 0.25) / 2, (1.0 + 0.5) / 2]
    of_a = [(0.5 + 0.75) / 2, (1.0 + 0.75) / 2, (0.0 + 0.25) / 2]
    assert found["base"] == pytest.approx(sum(of_base) / 3)
    assert found["a"] == pytest.approx(sum(of_a) / 3)
    # What one wins another loses.
    assert sum(found.values()) == pytest.approx(1.5)


def test_a_way_that_is_missing_on_a_task_takes_nothing_from_the_others():
    results = [*three(), (run(task="t", config="d"), [0.7] * 40)]
    table = ranked(*results)
    assert {tasks: set(rows["config"]) for tasks, rows in table.groupby("tasks")} == {"t, u": set("abc"), "t": set("abcd")}
    of_all = only(table, tasks="t, u").drop(columns="tasks").reset_index(drop=True)
    assert of_all.equals(ranked(*three()).drop(columns="tasks"))


NOTHING_COUNTS = {"worst": {"x": None}}
"""Failed scores have no value."""


def test_a_way_without_any_result_is_not_ranked_and_takes_nothing_from_the_others():
    failed = [(run(task=t, config="d"), [None] * 40) for t in "tu"]
    failed += [(run(task=t, config="e", seed=seed), [None] * 40 if seed == 1 else [0.5] * 40) for t in "tu" for seed in (1, 2)]
    table = ranked(*three(), *failed, **NOTHING_COUNTS)
    assert set(table["config"]) == set("abc")
    assert table["n"].eq(80).all()
    assert table.equals(ranked(*three()))


def test_ways_with_no_question_in_common_have_no_ranks():
    first, last = [0.1, 0.2] * 3 + [None] * 6, [None] * 6 + [0.3, 0.4] * 3
    assert ranked((base(), first), (run(), last), **NOTHING_COUNTS).empty
    assert ranked((base(), [None] * 12), (run(), [None] * 12), **NOTHING_COUNTS).empty


def test_only_seeds_that_have_results_in_the_metric_belong_together(monkeypatch):
    asked = []
    monkeypatch.setattr(
        ranks,
        "differences",
        lambda ways, pairs, matched_seeds: asked.append(matched_seeds) or differences(ways, pairs, matched_seeds),
    )
    both = [(run(config=name, seed=seed), NOISE[0].ravel()[:20] + seed, "e/y") for name in "ab" for seed in (1, 2, 3)]
    own = [
        (run(config=name, seed=seed), NOISE[place].ravel()[:20])
        for place, (name, seeds) in enumerate((("a", (1, 2)), ("b", (2, 3))))
        for seed in seeds
    ]
    ranked(*both, *own)
    ranked(*both, metric="e/y")
    assert asked == [False, True]


def test_runs_count_on_their_own_task_and_references_stand_apart():
    results = [(base(), [0.1] * 9), (run(), [0.3] * 9), (run(task="t", own="u"), [0.9] * 9), (base("baseline"), [0.5] * 9)]
    results += [(base(references="z"), [0.1] * 9), (run(references="z"), [0.2] * 9)]
    table = ranked(*results)
    assert {name: len(rows) for name, rows in table.groupby("sample_type")} == {"s": 2, "z": 2}
    assert "baseline" not in set(table["base_model"])


def test_one_way_alone_has_no_rank():
    assert list(ranked((base(), [0.1] * 9)).columns) == RANKS
    assert ranked((base(), [0.1] * 9)).empty


def test_too_many_pairs_have_ranks_without_intervals(monkeypatch):
    monkeypatch.setattr(ranks, "MOST_PAIRS", 5)
    table = ranked(*three())
    assert table["best_rank"].isna().all()
    assert sorted(table["rank"]) == [1, 2, 3]


@pytest.mark.parametrize("seeds", [(1, 1), (3, 3), (1, 3)])
@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_differences_of_many_pairs_are_those_of_each_pair(seeds, bounds):
    clusters = np.arange(30) // 2
    ways = [Results(RNG.random((number, 30)), clusters, bounds) for number in (*seeds, *seeds)]
    pairs = [(0, 1), (0, 2), (3, 1), (3, 2)]
    for (own, other), found in zip(pairs, differences(ways, pairs, matched_seeds=False), strict=True):
        single = difference_of(ways[own], ways[other])
        assert found.value == pytest.approx(single.value)
        assert found.standard_error == pytest.approx(single.standard_error)
        assert p_value_at(found, 0.0) == pytest.approx(single.p_value)
        assert (found.questions, found.clusters, found.seeds) == (single.questions, single.clusters, single.seeds)


def study(rng, means, metrics, seeds=1, questions=30, of_seeds=0.0):
    """Ways with these true means (tasks, ways), questions that are hard for all, and noise."""
    ways, of_tasks = {}, []
    for task, of_task in enumerate(means):
        rows, values = {}, []
        difficulty = rng.normal(0, 0.15, questions)
        for name, mean in enumerate(of_task):
            way = Way("m", f"t{task}", "s", f"w{name}", "z", "d", "g", f"t{task}", "s", "mix", 4, f"c{name}", "full")
            ways[way] = {seed: ("m", f"t{task}", "s", f"w{name}__seed{seed}", "z", "d", "g") for seed in range(seeds)}
            for key in ways[way].values():
                rows[key] = len(values)
                values.append(mean + rng.normal(0, of_seeds) + difficulty + rng.normal(0, 0.15, questions))
        ids, nothing = [str(number) for number in range(questions)], np.full(len(values), np.nan)
        clusters = np.arange(questions) + task * questions
        named = f"t{task}", "s", "r", metrics[task], rows
        failed = np.zeros(len(values), int)
        of_tasks.append(Measured(*named, np.array(values), None, ids, clusters, nothing, None, False, failed, ids))
    main = MainMetrics("r/x", {f"t{task}": f"r/{metric}" for task, metric in enumerate(metrics)})
    return rank_ways(ways, of_tasks, main)


@pytest.mark.parametrize(("metrics", "seeds", "of_seeds"), [("xx", 1, 0.0), ("x", 1, 0.0), ("xy", 3, 0.05)])
def test_all_ranks_are_covered_in_95_percent_of_studies_also_where_ways_are_nearly_alike(metrics, seeds, of_seeds):
    """The true ranks: of c0 1; c1 and c2 do not differ, so that both may be called 2 or 3; of c3 4."""
    rng = np.random.default_rng(5)
    means = [[0.62, 0.5, 0.5, 0.38]] * len(metrics)
    true, covered, sure, repetitions = {"c0": (1, 1), "c1": (2, 3), "c2": (2, 3), "c3": (4, 4)}, 0, 0, 50
    for _ in range(repetitions):
        table = study(rng, means, metrics, seeds, of_seeds=of_seeds).set_index("config")
        best, worst = table["best_rank"], table["worst_rank"]
        covered += all(best[name] <= low and worst[name] >= high for name, (low, high) in true.items())
        sure += best["c3"] > 1
    # Chance moves a share of 0.95 by 0.06 (two standard errors).
    assert covered / repetitions >= 0.88
    # They are no ranks of 1 to 4 for all.
    assert sure / repetitions > 0.5
