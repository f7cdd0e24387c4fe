import math

import numpy as np
import pytest
from evalsig.inference.mde import mde
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from loragrid.analysis.statistics.equivalence import equivalence_p_value, is_equivalent
from loragrid.analysis.statistics.intervals import difference_of, mean_of
from loragrid.analysis.statistics.pooling import RankInterval, mean_over_tasks, rank_intervals
from loragrid.analysis.statistics.power import (
    Needed,
    RightOrWrong,
    Spreads,
    detectable_difference,
    needed,
    planned_detectable_difference,
)
from loragrid.analysis.statistics.results import Results

RNG = np.random.default_rng(0)


def compared(own, other, clusters=None, bounds=None):
    clusters = np.arange(np.shape(own)[-1]) if clusters is None else clusters
    return difference_of(Results(np.atleast_2d(own), clusters, bounds), Results(np.atleast_2d(other), clusters, bounds))


def test_equivalence_is_that_of_statsmodels():
    own, other = RNG.normal(size=(2, 40))
    estimate = compared(own, other)
    assert equivalence_p_value(estimate, 0.5) == pytest.approx(ttost_paired(own, other, -0.5, 0.5)[0])


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("matters", [0.05, 0.12, 0.3])
def test_equivalence_and_its_p_value_agree(bounds, matters):
    clusters = np.arange(60)
    own, other = (Results(scores[None], clusters, bounds) for scores in RNG.random((2, 60)))
    estimate = difference_of(own, other, level=0.9)
    assert is_equivalent(estimate, matters) == (equivalence_p_value(estimate, matters) < 0.05)


def test_too_little_data_are_not_equivalent():
    estimate = compared([1.0], [1.0])
    assert not is_equivalent(estimate, 1.0)
    assert math.isnan(equivalence_p_value(estimate, 1.0))
    assert math.isnan(detectable_difference(estimate))
    assert needed(estimate, 0.1) == Needed(None, None)


def test_without_any_spread_nothing_is_detectable():
    estimate = compared([1.0, 1.0], [0.0, 0.0])
    assert detectable_difference(estimate) == math.inf
    assert needed(estimate, 0.1) == Needed(None, None)


def test_no_detectable_difference_is_larger_than_the_range_of_the_metric():
    effects = np.array([[-0.4], [0.4]])
    own, other = (0.5 + effects + RNG.normal(0, 0.02, (2, 9)) for _ in range(2))
    assert detectable_difference(compared(own, other, bounds=(0.0, 1.0))) == math.inf
    assert 1 < detectable_difference(compared(own, other)) < math.inf


def test_two_answers_alike_are_not_equivalent():
    assert not is_equivalent(compared([1.0, 1.0], [1.0, 1.0], bounds=(0.0, 1.0)), 0.1)
    assert not is_equivalent(compared([1.0, 1.0], [1.0, 1.0]), 0.1)


def test_detectable_difference_is_that_of_statsmodels_and_about_that_of_evalsig():
    """evalsig takes normal quantiles, which is a little less with few questions."""
    estimate = compared(*RNG.normal(size=(2, 30)))
    deviation = estimate.standard_error * 30**0.5
    assert detectable_difference(estimate) / deviation == pytest.approx(
        TTestPower().solve_power(nobs=30, alpha=0.05, power=0.8), rel=1e-3
    )
    assert planned_detectable_difference(Spreads(deviation**2, 0, 0), 30) == pytest.approx(detectable_difference(estimate))
    assert detectable_difference(estimate) == pytest.approx(mde(deviation, 30).mde, rel=0.05)
    assert detectable_difference(estimate) > mde(deviation, 30).mde


def test_what_is_needed_is_what_would_be_found():
    own, other = (RNG.random((2, 100)) < 0.5).astype(float)
    estimate = compared(own, other)
    questions = needed(estimate, 0.05).questions
    spreads = Spreads(estimate.of_questions, 0, 0)
    assert planned_detectable_difference(spreads, questions) <= 0.05 < planned_detectable_difference(spreads, questions - 1)
    assert needed(estimate, 0.05).seeds is None


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("seeds", [1, 3])
def test_for_the_detectable_difference_as_much_is_needed_as_there_is(seeds, bounds):
    own, other = (RNG.random((2, seeds, 60)) < 0.5).astype(float)
    estimate = compared(own, other, bounds=bounds)
    found = needed(estimate, detectable_difference(estimate) + 1e-6)
    assert found == Needed(60, 3 if seeds > 1 else None)


def test_right_and_wrong_answers_ask_for_more_than_others_of_the_same_spread():
    spreads = Spreads(0.3, 0.0, 0.0)
    plain = planned_detectable_difference(spreads, 50)
    assert planned_detectable_difference(spreads, 50, right_or_wrong=RightOrWrong()) > plain + 0.5 / 50
    assert planned_detectable_difference(spreads, 50, clusters=10, right_or_wrong=RightOrWrong()) > planned_detectable_difference(
        spreads, 50, clusters=10
    )
    percent = planned_detectable_difference(Spreads(0.3 * 100**2, 0.0, 0.0), 50, right_or_wrong=RightOrWrong(unit=100.0))
    assert percent == pytest.approx(100 * planned_detectable_difference(spreads, 50, right_or_wrong=RightOrWrong()))


def share_found(size, questions, seeds, repetitions):
    """How often a study finds a true difference, in answers whose single differences have a variance of 1."""
    clusters, base = np.arange(questions), Results(np.zeros((1, questions)), np.arange(questions))
    spread, rng = math.sqrt(1 / min(seeds, 2)), np.random.default_rng(7)
    found = 0
    for _ in range(repetitions):
        values = size + rng.normal(0, spread, (1, questions)) + (rng.normal(0, spread, (seeds, questions)) if seeds > 1 else 0.0)
        found += difference_of(Results(values, clusters), base).p_value < 0.05
    return found / repetitions


@pytest.mark.parametrize(("spreads", "seeds"), [(Spreads(1, 0, 0), 1), (Spreads(0.5, 0, 0.5), 3)])
def test_fewer_than_six_questions_see_no_difference_and_six_what_they_promise(spreads, seeds):
    for questions in (2, 5):
        assert planned_detectable_difference(spreads, questions, seeds, trained=1) == math.inf
        assert share_found(100.0, questions, seeds, 20) == 0
    least = planned_detectable_difference(spreads, 6, seeds, trained=1)
    # 400 studies: twice the simulation's error is 0.04.
    assert share_found(least, 6, seeds, 400) == pytest.approx(0.8, abs=0.07)
    assert least > planned_detectable_difference(spreads, 6, seeds, trained=1, by_signs=False)


def test_so_few_clusters_as_signs_cannot_tell_see_no_difference_however_many_questions():
    spreads = Spreads(1, 0, 0)
    assert planned_detectable_difference(spreads, 1000, clusters=5) == math.inf
    assert planned_detectable_difference(spreads, 1000, clusters=6) < math.inf
    # In a family of ten, signs have to be surer; means over tasks are judged without them.
    assert planned_detectable_difference(spreads, 8, level=0.995) == math.inf
    assert planned_detectable_difference(spreads, 9, level=0.995) < math.inf
    assert planned_detectable_difference(spreads, 4, by_signs=False) < math.inf


def test_where_seeds_matter_questions_alone_do_not_do():
    effects = np.array([[-0.1], [0.0], [0.1]])
    own = 0.5 + effects + RNG.normal(0, 0.1, (3, 200))
    other = 0.5 + effects + RNG.normal(0, 0.1, (3, 200))
    wanted = needed(compared(own, other), 0.05)
    assert wanted.questions is None
    assert 20 < wanted.seeds < 200
    assert needed(compared(own, other), 1e-6).seeds is None


def test_more_questions_seeds_and_clusters_find_smaller_differences():
    spreads = Spreads(0.2, 0.001, 0.1)
    sizes = [planned_detectable_difference(spreads, *plan) for plan in ((100, 2), (100, 3), (100, 5), (400, 5))]
    assert sizes == sorted(sizes, reverse=True)
    assert planned_detectable_difference(spreads, 100, 3, clusters=5) > planned_detectable_difference(spreads, 100, 3)


def test_mean_over_tasks_has_the_variance_of_independent_tasks():
    tasks = [compared(*RNG.random((2, 50)), np.arange(50) + 50 * place, (0.0, 1.0)) for place in range(4)]
    pooled = mean_over_tasks(tasks)
    assert pooled.value == pytest.approx(np.mean([task.value for task in tasks]))
    assert pooled.standard_error == pytest.approx(sum(task.standard_error**2 for task in tasks) ** 0.5 / 4)
    assert 150 < pooled.freedom < 196
    assert pooled.low < pooled.value < pooled.high
    assert math.isnan(mean_over_tasks([mean_of(Results(RNG.random((1, 9)), np.arange(9)))] * 2).p_value)


@pytest.mark.parametrize("seeds", [1, 3])
def test_of_a_mean_over_tasks_it_is_said_what_is_detectable_and_not_what_is_needed(seeds):
    tasks = [compared(*RNG.random((2, seeds, 50)), np.arange(50) + 50 * place, (0.0, 1.0)) for place in range(4)]
    pooled = mean_over_tasks(tasks)
    assert 0.25 < detectable_difference(pooled) / np.mean([detectable_difference(task) for task in tasks]) < 0.6
    assert needed(pooled, 0.1) == Needed(None, None)
    assert pooled.freedom_of_seeds == pytest.approx(0 if seeds == 1 else 16, abs=6 * (seeds > 1))


def test_tasks_of_the_same_questions_are_one():
    task = compared(*RNG.random((2, 50)), bounds=(0.0, 1.0))
    assert mean_over_tasks([task, task]).standard_error == pytest.approx(task.standard_error)


def test_ranks_are_as_sure_as_the_differences():
    scores = RNG.random(200)
    ways = [scores + 0.3, scores + RNG.normal(0, 0.3, 200), scores + RNG.normal(0, 0.3, 200)]
    differences = {(i, j): compared(ways[i], ways[j]) for i, j in ((0, 1), (0, 2), (1, 2))}
    signs = {pair: (one.low > 0) - (one.high < 0) for pair, one in differences.items()}
    assert rank_intervals(3, signs) == [RankInterval(1, 1), RankInterval(2, 3), RankInterval(2, 3)]
    assert rank_intervals(2, {}) == [RankInterval(1, 2)] * 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_mean_over_tasks_of_which_one_has_a_single_question_is_too_little_data(seeds):
    one, many = (compared(*RNG.random((2, seeds, questions)), bounds=(0.0, 1.0)) for questions in (1, 20))
    pooled = mean_over_tasks([one, many])
    assert pooled.value == pytest.approx((one.value + many.value) / 2)
    assert math.isnan(pooled.low)
    assert math.isnan(pooled.p_value)
    assert math.isnan(detectable_difference(pooled))


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_so_few_clusters_that_signs_cannot_tell_see_no_difference(bounds):
    # Of six signs, all alike, the exact test's p-value is 2 / 64.
    sizes = {n: detectable_difference(compared(*RNG.random((2, n)) / [[2], [9]], bounds=bounds)) for n in (5, 6)}
    assert sizes[5] == math.inf
    assert sizes[6] < math.inf
    estimate = compared(*RNG.normal([[0.9], [0.0]], 0.01, (2, 10)), np.arange(10) // 2, bounds)
    assert needed(estimate, 0.9).questions == 12
    # At a level for many comparisons it takes more.
    assert needed(estimate, 0.9, level=0.999).questions == 22


def test_so_few_clusters_are_not_made_up_for_by_seeds():
    estimate = compared(*RNG.normal([[[0.9]], [[0.0]]], 0.1, (2, 3, 5)))
    assert needed(estimate, 0.9).seeds is None
    assert needed(compared(*RNG.normal([[[0.9]], [[0.0]]], 0.1, (2, 3, 9))), 0.9).seeds is not None


def test_mean_over_tasks_stays_within_what_is_possible():
    tasks = [compared([1.0, 1.0, 0.9], [0.0, 0.0, 0.9], np.arange(3) + 3 * place, (0.0, 1.0)) for place in range(2)]
    pooled = mean_over_tasks(tasks, level=0.99)
    assert pooled.value < 1.0 == pooled.high
    assert detectable_difference(pooled, level=0.999) == math.inf
    means = [mean_of(Results(np.array([[1.0, 1.0, 0.8]]), np.arange(3), (0.0, 1.0)))] * 2
    assert mean_over_tasks(means).high == 1.0
    assert mean_over_tasks(means).low > 0.0
    limitless = compared([1.0, 1.0, 0.9], [0.0, 0.0, 0.9])
    assert mean_over_tasks([limitless, *tasks], level=0.99).high > 1.0
