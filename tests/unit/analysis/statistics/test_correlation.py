"""Correlation of two scorers within questions, over all answers and between ways, with intervals over the choice of questions."""

import math

import numpy as np
import pytest
from scipy import stats

from loragrid.analysis.statistics.correlation import (
    COEFFICIENTS,
    Answers,
    between_ways,
    by_group,
    over_all_answers,
    pairs_of,
    within_questions,
)
from simulations.scorers import coverage_between, coverage_over_all, coverage_within, labels

SCIPY = {
    "pearson": lambda own, other: stats.pearsonr(own, other).statistic,
    "spearman": lambda own, other: stats.spearmanr(own, other).statistic,
    "kendall": lambda own, other: stats.kendalltau(own, other).statistic,
}


def with_ties(seed, n, values=5):
    generator = np.random.default_rng(seed)
    own = generator.integers(0, values, n).astype(float)
    return own, own + generator.integers(0, values, n)


def answers(seed, questions, ways, per_cluster=1):
    own, other = with_ties(seed, questions * ways, 9)
    return Answers(own, other, *labels(questions, ways, per_cluster))


@pytest.mark.parametrize("values", [2, 5, 1000])
def test_coefficients_of_each_group_are_those_of_scipy(values):
    own, other = with_ties(0, 200, values)
    groups = np.random.default_rng(1).integers(0, 12, 200)
    groups = np.unique(groups, return_inverse=True)[1]
    found = by_group(own, other, groups)
    for name in COEFFICIENTS:
        expected = [SCIPY[name](own[groups == group], other[groups == group]) for group in range(groups.max() + 1)]
        assert found[name] == pytest.approx(expected)


def test_pairs_that_both_order_alike_are_counted_without_looking_at_each_pair():
    own, other = with_ties(2, 301)
    groups = np.sort(np.random.default_rng(1).integers(0, 4, 301))
    signs = [np.sign(np.subtract.outer(values, values)) for values in (own, other)]
    expected = (signs[0] * signs[1] * (groups[:, None] == groups)).sum(axis=1)
    assert (pairs_of(own, other, groups).agreeing == expected).all()


def test_over_all_answers_each_counts_alike():
    one = answers(3, 20, 4)
    found = over_all_answers(one)
    assert {name: found[name].value for name in found} == pytest.approx({name: SCIPY[name](one.own, one.other) for name in SCIPY})


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
def test_errors_over_all_answers_are_nearly_those_of_leaving_out_one_cluster_at_a_time(coefficient):
    one = answers(4, 60, 3, per_cluster=2)
    k = one.clusters.max() + 1
    without = [
        math.atanh(SCIPY[coefficient](one.own[one.clusters != cluster], one.other[one.clusters != cluster]))
        for cluster in range(k)
    ]
    error = math.sqrt((k - 1) / k * ((np.array(without) - np.mean(without)) ** 2).sum())
    found = over_all_answers(one)[coefficient]
    reach = stats.t.ppf(0.975, k - 1)
    assert found.clusters == 30
    assert (math.atanh(found.high) - math.atanh(found.low)) / 2 / reach == pytest.approx(error, rel=0.05)


def test_within_questions_the_mean_over_questions_counts_and_constant_ones_do_not():
    own = np.array([1.0, 2, 3, 1, 2, 3, 5, 5, 5])
    other = np.array([1.0, 2, 3, 1, 3, 2, 1, 2, 3])
    question = np.repeat([0, 1, 2], 3)
    found = within_questions(Answers(own, other, question, np.tile([0, 1, 2], 3), question))
    assert found["kendall"].value == pytest.approx((1 + 1 / 3) / 2)
    assert found["spearman"].value == pytest.approx((1 + 0.5) / 2)
    assert found["kendall"].clusters == 2
    assert math.isnan(found["kendall"].low)


def test_between_ways_their_means_count_each_over_all_of_its_answers():
    one = answers(5, 30, 6)
    means = [[values[one.ways == way].mean() for way in range(6)] for values in (one.own, one.other)]
    found = between_ways(one)
    assert {name: found[name].value for name in found} == pytest.approx({name: SCIPY[name](*means) for name in SCIPY})
    assert all(found[name].low <= found[name].value <= found[name].high for name in found)


def test_difficulty_of_questions_may_hide_that_scorers_disagree_about_answers():
    # Both say which questions are hard. About answers to one question they say the opposite.
    question, way, cluster = labels(40, 5)
    quality = np.random.default_rng(6).standard_normal(200)
    one = Answers(10 * question + quality, 10 * question - quality, question, way, cluster)
    assert over_all_answers(one)["kendall"].low > 0.9
    assert within_questions(one)["kendall"].value == -1


def test_answers_that_one_scorer_leaves_out_do_not_count():
    one = answers(7, 30, 4)
    gaps = np.random.default_rng(0).random(120) < 0.3
    there = ~gaps
    left = over_all_answers(one._replace(other=np.where(gaps, np.nan, one.other)).known)
    assert left["kendall"].value == pytest.approx(SCIPY["kendall"](one.own[there], one.other[there]))
    assert not len(one._replace(own=np.full(120, np.nan)).known.own)


@pytest.mark.parametrize("scope", [over_all_answers, within_questions, between_ways])
def test_what_data_cannot_tell_is_not_told(scope):
    one = answers(8, 30, 4)
    constant = scope(one._replace(own=np.ones(120)))
    assert all(math.isnan(found.value) and math.isnan(found.low) for found in constant.values())
    nothing = scope(one._replace(own=np.full(120, np.nan)))
    assert all(math.isnan(found.value) and found.clusters == 0 for found in nothing.values())
    # No error can be seen in a perfect relation, and none be told from four questions.
    perfect = scope(one._replace(other=2 * one.own))
    assert all(found.value == pytest.approx(1) and math.isnan(found.low) for found in perfect.values())
    few = scope(answers(9, 4, 5))
    assert all(math.isfinite(found.value) and math.isnan(found.low) for found in few.values())


def test_between_two_ways_there_is_no_correlation():
    assert all(math.isnan(found.value) for found in between_ways(answers(10, 30, 2)).values())


def test_the_same_answers_give_the_same_interval():
    one = answers(11, 20, 5)
    assert between_ways(one) == between_ways(one)


def test_time_grows_little_more_than_the_number_of_answers():
    from time import process_time

    one = answers(12, 2000, 50)
    start = process_time()
    over_all_answers(one)
    within_questions(one)
    assert process_time() - start < 3


@pytest.mark.parametrize(
    ("correlation", "questions", "ways", "intraclass"),
    [(0.0, 16, 6, 0.5), (0.5, 50, 6, 0.5), (0.9, 16, 1, 0.0)],
)
def test_intervals_over_all_answers_hold_the_truth_in_95_of_100_studies(correlation, questions, ways, intraclass):
    found = coverage_over_all(correlation, questions, ways, intraclass, repetitions=300)
    # The simulation's own error is 1.3 %; with few questions, intervals may be wider.
    assert all(0.92 <= share <= 0.995 for share in found.values()), found


@pytest.mark.parametrize(
    ("correlation", "questions", "ways", "per_cluster"), [(0.5, 16, 5, 1), (0.9, 50, 5, 1), (0.5, 100, 5, 5)]
)
def test_intervals_within_questions_hold_the_truth_in_95_of_100_studies(correlation, questions, ways, per_cluster):
    found = coverage_within(correlation, questions, ways, per_cluster, repetitions=300)
    assert all(0.92 <= share <= 0.995 for share in found.values()), found


def test_intervals_between_ways_hold_what_such_studies_show_in_at_least_95_of_100():
    found = coverage_between(0.8, 50, 6, repetitions=60)
    assert all(share >= 0.93 for share in found.values()), found


def test_answers_about_one_document_have_a_correlation_without_an_interval():
    generator = np.random.default_rng(0)
    one = Answers(*generator.random((2, 8)), np.arange(8), np.zeros(8, int), np.zeros(8, int))
    found = over_all_answers(one)
    assert found["spearman"].value == pytest.approx(stats.spearmanr(one.own, one.other)[0])
    assert all(math.isnan(coefficient.low) for coefficient in found.values())
