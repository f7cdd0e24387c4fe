"""The difference of two ways, had their answers been of the same length."""

import math

import numpy as np
import pytest
import statsmodels.api as sm

from loragrid.analysis.statistics.equal_length import at_equal_length
from simulations.scorers import coverage_of_equal_length


def study(seed=0, n=60, longer=1.0, effect=0.1, of_length=0.15):
    """Differences in scores and lengths, where length brings a part of the score."""
    generator = np.random.default_rng(seed)
    more = longer + generator.standard_normal(n)
    noise = 0.05 * generator.standard_normal(n)
    return effect + of_length * np.tanh(more / math.sqrt((more**2).mean())) + noise, 100 * more


def test_it_is_the_intercept_of_a_regression_on_the_difference_in_length():
    differences, more = study()
    found = at_equal_length(differences, more, np.arange(60))
    x = np.tanh(more / np.sqrt((more**2).mean()))
    fit = sm.OLS(differences, sm.add_constant(x)).fit(cov_type="HC3")
    assert (found.at_equal_length.value, found.slope) == pytest.approx(tuple(fit.params))
    # The jackknife is HC3 but for the mean of the estimates.
    assert found.at_equal_length.standard_error == pytest.approx(fit.bse[0], rel=0.02)
    assert found.difference.value == pytest.approx(differences.mean())
    assert found.difference.standard_error == pytest.approx(differences.std(ddof=1) / math.sqrt(60))


def test_gain_that_comes_from_length_alone_is_gone():
    found = at_equal_length(*study(effect=0.0), np.arange(60))
    assert found.difference.low > 0.05
    assert found.at_equal_length.low < 0 < found.at_equal_length.high


def test_where_all_answers_are_longer_the_interval_says_that_equal_length_was_not_seen():
    near, far = (at_equal_length(*study(longer=longer), np.arange(60)) for longer in (0.0, 4.0))
    assert (near.longer < 0.7, far.longer) == (True, 1.0)
    reach = [one.at_equal_length.high - one.at_equal_length.low for one in (near, far)]
    assert reach[1] > 3 * reach[0]


def test_without_differences_in_length_the_difference_is_at_equal_length():
    differences, _ = study()
    same = at_equal_length(differences, np.zeros(60), np.arange(60))
    assert same.at_equal_length == same.difference
    # All longer by the same amount: nothing tells what the length brings.
    assert math.isnan(at_equal_length(differences, np.full(60, 5.0), np.arange(60)).at_equal_length.value)


def test_questions_without_scores_do_not_count_and_without_any_there_is_nothing():
    differences, more = study()
    gaps = np.arange(60) < 20
    found = at_equal_length(np.where(gaps, np.nan, differences), more, np.arange(60))
    assert found == at_equal_length(differences[20:], more[20:], np.arange(40))
    assert math.isnan(at_equal_length(np.full(3, np.nan), np.ones(3), np.arange(3)).difference.value)


def test_ways_that_never_differ_have_no_interval():
    found = at_equal_length(np.zeros(30), np.random.default_rng(0).standard_normal(30), np.arange(30))
    assert found.difference.value == 0
    assert math.isnan(found.difference.low)


@pytest.mark.parametrize(("questions", "per_cluster", "longer"), [(16, 1, 1.0), (200, 10, 1.0)])
def test_intervals_hold_the_truth_in_95_of_100_studies(questions, per_cluster, longer):
    found = coverage_of_equal_length(questions, per_cluster, longer, repetitions=500)
    assert 0.925 <= found["at equal length"] <= 0.99, found
